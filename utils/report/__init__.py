"""The report of a run: `report.json`, `report.html`, the table on the console."""

from utils.report.build import deflated_size, network_facts
from utils.report.console import print_summary
from utils.report.environment import Machine, library_versions, this_machine
from utils.report.schema import (
    Bounds,
    Candidate,
    Capability,
    Estimate,
    EthosU,
    Failure,
    File,
    Layer,
    Network,
    Rollout,
    Search,
    TrainingPoint,
)
from utils.report.shown import Report

__all__ = [
    "Bounds",
    "Candidate",
    "Capability",
    "Estimate",
    "EthosU",
    "Failure",
    "File",
    "Layer",
    "Machine",
    "Network",
    "Report",
    "Rollout",
    "Search",
    "TrainingPoint",
    "deflated_size",
    "library_versions",
    "network_facts",
    "print_summary",
    "this_machine",
]
