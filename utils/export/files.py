"""The `.tflite` files of a network: converted, checked, then written."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterable
from typing import Any

import keras

from utils.export.check import CalcMetrics, CheckResult, check_files, require_passed
from utils.export.config import ExportConfig
from utils.export.tflite import Calibration, convert
from utils.files import atomic_path, check_writable


def tflite_path(model_path: str | os.PathLike[str], kind: str) -> pathlib.Path:
    """Name the `.tflite` file that belongs to a model file.

    Example:
        >>> tflite_path("runs/demo/model.keras", "int8").as_posix()
        'runs/demo/model_int8.tflite'
    """
    path = pathlib.Path(model_path)
    return path.with_name(f"{path.stem}_{kind}.tflite")


def export_files(
    model: keras.Model,
    model_path: str | os.PathLike[str],
    config: ExportConfig,
    *,
    calibration: Calibration | None,
    dataset: Iterable[tuple[Any, Any]],
    calc_metrics: CalcMetrics,
) -> list[CheckResult]:
    """Write the `.tflite` files of a network beside it, all or none.

    Every kind is converted and checked before the first file is written.

    Args:
        model: the network.
        model_path: where its `.keras` file lies, see `tflite_path`.
        config: kinds, calibration, limits.
        calibration: batches of training inputs for the int8 kind.
        dataset: held-out batches (inputs, labels).
        calc_metrics: see `utils.export.check.check_files`.

    Returns:
        One passed result per kind, with the path of its file.

    Raises:
        InputError: see `convert` and `check_files`; or the folder cannot be written.
        ExportError: if the network cannot be converted or a file misses a limit; then no file is
            written, and the error carries the results.
    """
    kinds = config.kinds()
    if not kinds:
        return []
    paths = [tflite_path(model_path, kind) for kind in kinds]
    for path in paths:
        check_writable(path)  # before the minutes that follow
    contents = [
        convert(model, kind, calibration, io_format=config.convert.tflite_io) for kind in kinds
    ]
    results = check_files(contents, model, dataset, calc_metrics, config.check)
    require_passed(results)
    with contextlib.ExitStack() as stack:  # all are renamed once the last is written
        for path, content in zip(paths, contents, strict=True):
            stack.enter_context(atomic_path(path)).write_bytes(content)
    return [
        dataclasses.replace(result, path=str(path))
        for result, path in zip(results, paths, strict=True)
    ]
