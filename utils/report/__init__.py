"""The report of a run: `report.json`, `report.html`, the table on the console."""

from utils.report.build import deflated_size, network_facts
from utils.report.console import print_summary
from utils.report.environment import Machine, library_versions, this_machine
from utils.report.schema import (
    Candidate,
    Capability,
    Layer,
    Network,
    Report,
    Rollout,
    Search,
    TfliteFile,
    TrainingPoint,
)

__all__ = [
    "Candidate",
    "Capability",
    "Layer",
    "Machine",
    "Network",
    "Report",
    "Rollout",
    "Search",
    "TfliteFile",
    "TrainingPoint",
    "deflated_size",
    "library_versions",
    "network_facts",
    "print_summary",
    "this_machine",
]
