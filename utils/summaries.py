"""Scalars for TensorBoard: curves of training and of a search."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from utils.causes import essence
from utils.command import notes

NUM_POINTS = 200
"""Points of a curve, whatever the length of what it shows."""

_NOT_IN_NAMES = re.compile(r"[^\w.-]+")  # some file systems take no colons, spaces, umlauts


def curve_folder(log_dir: str | os.PathLike[str], label: str) -> pathlib.Path:
    """Name the folder of a curve, in letters that every file system takes.

    Args:
        log_dir: the folder of all curves.
        label: of what is shown; ": " and "/" separate folders.

    Example:
        >>> curve_folder("logs", "chn-pruned-rmt:uniform: round_0/all").as_posix()
        'logs/chn-pruned-rmt_uniform/round_0/all'
    """
    parts = [_NOT_IN_NAMES.sub("_", part).strip("_. ") for part in re.split(r": |/", label)]
    return pathlib.Path(log_dir, *(part for part in parts if part))


def steps_between(num_steps: int, given: int | None) -> int:
    """Say how many steps lie between two points of a curve.

    Args:
        num_steps: of the whole run.
        given: the user's number; None for about `NUM_POINTS` points.

    Example:
        >>> steps_between(20, None), steps_between(78_000, None), steps_between(20, 5)
        (1, 390, 5)
    """
    return given or max(1, round(num_steps / NUM_POINTS))


class ScalarWriter:
    """Writes points of curves; the file is made with the first.

    Where it cannot be written, that is said once and the run goes on.

    Args:
        folder: where.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = os.fspath(folder)
        self._writer: Any = None
        self._is_lost = False

    def write(self, step: int, scalars: Mapping[str, float | None]) -> None:
        """Write a point of each curve.

        Args:
            step: where it lies.
            scalars: the values by name; None is left out.
        """
        import tensorflow as tf

        known = {name: value for name, value in scalars.items() if value is not None}
        if not known or self._is_lost:
            return
        try:
            if self._writer is None:
                self._writer = tf.summary.create_file_writer(self._folder)
            with self._writer.as_default(step=step):
                for name, value in known.items():
                    tf.summary.scalar(name, value)
            self._writer.flush()
        except (tf.errors.OpError, OSError) as error:
            self._lose(error)

    def close(self) -> None:
        """Close the file."""
        if self._writer is None or self._is_lost:
            return
        try:
            self._writer.close()
        except Exception as error:  # what cannot be written out now
            self._lose(error)

    def _lose(self, error: Exception) -> None:
        """Go on without curves: they are no reason to end a run."""
        self._is_lost = True
        notes.print(
            f"note: TensorBoard's curves cannot be written to {self._folder}: {essence(error)}",
            markup=False,
        )
