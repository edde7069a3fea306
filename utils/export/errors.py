"""The one refusal of the export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from utils.errors import InputError


class ExportError(InputError):
    """A network cannot become the wanted file, or the file differs too much from its network.

    Attributes:
        results: what was measured of every file of that export, each a `CheckResult`; empty if none
            could be made.
    """

    def __init__(self, message: str, results: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.results = tuple(results)
