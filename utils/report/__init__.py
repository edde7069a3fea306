"""The report of a run: `report.json`, `report.html`, the table on the console."""

from utils.report.build import deflated_size, file_sha256, network_facts
from utils.report.console import print_summary
from utils.report.environment import Machine, library_versions, this_machine
from utils.report.file_schema import Bounds, Estimate, File, OnDevice, Tensor
from utils.report.schema import (
    Candidate,
    Capability,
    ClassChange,
    Compared,
    Failure,
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
    "ClassChange",
    "Compared",
    "Estimate",
    "Failure",
    "File",
    "Layer",
    "Machine",
    "Network",
    "OnDevice",
    "Report",
    "Rollout",
    "Search",
    "Tensor",
    "TrainingPoint",
    "deflated_size",
    "file_sha256",
    "library_versions",
    "network_facts",
    "print_summary",
    "this_machine",
]
