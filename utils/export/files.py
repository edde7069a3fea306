"""The files of a network: converted, checked, then written."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras

from utils.export.c_array import c_array
from utils.export.check import (
    CheckResult,
    ExportedFile,
    check_all,
    require_passed,
)
from utils.export.compare import CalcMetrics
from utils.export.config import ExportConfig
from utils.export.conversion import Conversion, Exported, convert_all, deployed_name
from utils.export.data_facts import NO_FACTS, DataFacts
from utils.export.exporters import EXPORTERS
from utils.export.targets_fit import require_run
from utils.export.tflite import Calibration
from utils.files import atomic_path, check_writable


def exported_path(model_path: str | os.PathLike[str], kind: str) -> pathlib.Path:
    """Name the file of a kind that belongs to a model file.

    Example:
        >>> exported_path("runs/demo/model.keras", "int8").as_posix()
        'runs/demo/model_int8.tflite'
        >>> exported_path("runs/demo/model.keras", "fpq").as_posix()
        'runs/demo/model.fpq'
    """
    path, ending = pathlib.Path(model_path), EXPORTERS[kind].ending
    return path.with_name(f"{path.stem}{'' if ending == f'.{kind}' else f'_{kind}'}{ending}")


def array_paths(path: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Name the header and the source of a `.tflite` file as an array in C.

    Example:
        >>> [each.name for each in array_paths(pathlib.Path("model_int8.tflite"))]
        ['model_int8.h', 'model_int8.cc']
    """
    return path.with_suffix(".h"), path.with_suffix(".cc")


def export_files(
    model: keras.Model,
    model_path: str | os.PathLike[str],
    config: ExportConfig,
    *,
    calibration: Calibration | None,
    dataset: Iterable[tuple[Any, Any]],
    calc_metrics: CalcMetrics,
    facts: DataFacts = NO_FACTS,
) -> list[CheckResult]:
    """Write the files of a network beside it.

    Every kind is converted and checked before the first file is written.

    Args:
        model: the network.
        model_path: where its `.keras` file lies, see `exported_path`.
        config: kinds, calibration, limits.
        calibration: batches of training inputs for the int8 kind.
        dataset: held-out batches (inputs, labels).
        calc_metrics: see `utils.export.check.check_files`.
        facts: of the data, for `ConvertConfig.tflite_metadata`.

    Returns:
        One passed result per kind, with the path of its file.

    Raises:
        InputError: see `check_files`; or the folder cannot be written, or the target does not run a
            file.
        ExportError: if a file could not be made, or misses a limit. It is not written, the others
            are; the error carries all results.
    """
    kinds = config.kinds()
    config.require_possible()
    for kind in kinds:
        check_writable(exported_path(model_path, kind))  # before the minutes that follow
    network = Exported(name="after", model=model)
    conversions = convert_all([network], kinds, config.convert, calibration, facts)
    if not conversions:
        return []
    conversions = {key: _for_target(key[1], found, config) for key, found in conversions.items()}
    files = converted_files(conversions)
    checked = check_all({"after": model}, files, dataset, calc_metrics, config.check)
    results = all_results(conversions, checked.files)
    paths = {"after": pathlib.Path(model_path)}
    results = write_files(results, files, paths, with_arrays=config.convert.export_c_array)
    require_passed(results)
    return results


def _for_target(kind: str, found: Conversion, config: ExportConfig) -> Conversion:
    """Refuse a file that the target does not run; note what it does not run in integers."""
    target = config.convert.target
    if target is None or found.content is None or not EXPORTERS[kind].on_device:
        return found
    let = require_run(found.content, target, allow_float=config.convert.allow_float)
    return dataclasses.replace(found, notes=(*found.notes, *(f"{each}." for each in let)))


def converted_files(conversions: Mapping[tuple[str, str], Conversion]) -> list[ExportedFile]:
    """List the files that could be made."""
    return [
        ExportedFile(
            network=network,
            kind=kind,
            content=found.content,
            notes=found.notes,
            reference=deployed_name(network) if found.deployed else "",
        )
        for (network, kind), found in conversions.items()
        if found.content is not None
    ]


def all_results(
    conversions: Mapping[tuple[str, str], Conversion], checked: Iterable[CheckResult]
) -> list[CheckResult]:
    """Put the files that were made and those that could not be into one list, in order."""
    by_key = {(result.network, result.kind): result for result in checked}
    return [
        by_key.get(key)
        or CheckResult(network=key[0], kind=key[1], failed=found.failed, declined=found.declined)
        for key, found in conversions.items()
    ]


def write_files(
    results: Sequence[CheckResult],
    files: Sequence[ExportedFile],
    model_paths: Mapping[str, pathlib.Path],
    *,
    with_arrays: bool = False,
) -> list[CheckResult]:
    """Write the files that missed no limit.

    Args:
        results: see `all_results`.
        files: their contents.
        model_paths: where each network's `.keras` file lies, see `exported_path`.
        with_arrays: write those of integers of the network after as arrays in C as well, see
            `array_paths`.

    Returns:
        The results, with the paths and digests of what was written: all or, on an error, nothing.

    Raises:
        InputError: if a file cannot be written.
    """
    contents = {(file.network, file.kind): file.content for file in files}
    written = []
    with contextlib.ExitStack() as stack:  # all are renamed once the last is written
        for result in results:
            if result.passed:
                path = exported_path(model_paths[result.network], result.kind)
                content = contents[result.network, result.kind]
                stack.enter_context(atomic_path(path)).write_bytes(content)
                on_device = EXPORTERS[result.kind].on_device and result.network == "after"
                if with_arrays and on_device:
                    texts = c_array(content, path.stem)
                    for place, text in zip(array_paths(path), texts, strict=True):
                        stack.enter_context(atomic_path(place)).write_text(text, encoding="utf-8")
                sha256 = hashlib.sha256(content).hexdigest()
                result = dataclasses.replace(result, path=str(path), sha256=sha256)
            written.append(result)
    return written
