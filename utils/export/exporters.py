"""The kinds of files: one literal table, kind -> how it is made, what it needs, how it is run.

A new kind is a row here and the functions that the row names. They are imported only when the kind
is made, in a process of their own (`utils.export.child`); this module is free of TensorFlow.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from utils.errors import InputError
from utils.export.targets import find_target

DECODED_FILE = "tflm"  # whose weights are indices and tables; see `utils.export.decode_tables`


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """What a file is made from.

    Attributes:
        saved_model: folder of the network as TensorFlow's SavedModel, batch size one; None for a
            row that is made of the Keras network.
        model: the Keras network; None for other rows.
        samples: single inputs by input name, each [1, …]; empty where the row needs none.
        ranges_inside: the network holds fake quantization, which says all ranges: no sample is
            looked at.
        io_format: what an integer file takes and gives: "int8", "uint8" or "float32".
        target: the device that it is for, of `utils.export.targets.NAMES`; None for any.
        outputs: names of the network's outputs, in order.
    """

    saved_model: pathlib.Path | None = None
    model: Any = None
    samples: Sequence[dict[str, np.ndarray]] = ()
    ranges_inside: bool = False
    io_format: str = "int8"
    target: str | None = None
    outputs: Sequence[str] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Made:
    """A file's content, and sentences on how it came about."""

    content: bytes
    notes: tuple[str, ...] = ()


class Exporter(NamedTuple):
    """A row of the table. Functions are named as `module:function`.

    Attributes:
        summary: what is in the file.
        make: makes it, `make(source) -> Made`.
        runner: opens it to compare its outputs, `runner(content, num_threads=…)`; see
            `utils.export.runner.TFLiteRunner`.
        timed: opens it to be timed, `timed(content, num_threads=…)` -> the bare call; None where
            times on this computer say nothing.
        ranks: says which layers lose most in a file that fails, `ranks(content, float32 content,
            inputs, model)` -> `LayerError`s; None where nothing can be said.
        ending: of the file's name.
        max_error: how far rounding alone may take its outputs from the network's (see
            `CheckResult.error`); None for a file that is judged by the flags of `CheckConfig`.
        calibrated: it needs calibration samples.
        keras: it is made of the Keras network, in the process that holds its classes.
        own_ranges: its ranges are taken from samples even where the learner made a network that
            holds some, for other numbers.
        deployed: it needs a network that the learner made for the device (`Trained.deployed`).
        optional: it is made of the resulting network only, and where it cannot be made, is wrong
            or gains nothing, there is a note and no file; else that fails the export.
        on_device: it is what runs on the device that a run is for, see `utils.export.targets`.
        loops: it may hold loops; else recurrent layers are unrolled, which needs a fixed number of
            time steps.
        package: a module that it needs beyond Flowpress' own packages, None for none.
        extra: the extra of Flowpress that installs it.
    """

    summary: str
    make: str
    runner: str = "utils.export.runner:TFLiteRunner"
    timed: str | None = "utils.export.runner:timed_call"
    ranks: str | None = None
    ending: str = ".tflite"
    max_error: float | None = None
    calibrated: bool = False
    keras: bool = False
    own_ranges: bool = False
    deployed: bool = False
    optional: bool = False
    on_device: bool = False
    loops: bool = True
    package: str | None = None
    extra: str | None = None


# In the order in which files are written and reported. A float32 file may differ by rounding only:
# ResNet-20 measures 2e-7.
EXPORTERS: dict[str, Exporter] = {
    "float32": Exporter(
        "float weights, float computation",
        make="utils.export.tflite:float32_file",
        max_error=1e-4,
    ),
    "dynamic": Exporter(
        "int8 weights, float computation where no integer kernel is",
        make="utils.export.tflite:dynamic_file",
        ranks="utils.export.layer_errors:rank_layers",
    ),
    "int8": Exporter(
        "integers only",
        make="utils.export.tflite:int8_file",
        ranks="utils.export.layer_errors:rank_layers",
        calibrated=True,
        on_device=True,
        loops=False,
    ),
    "int8-litert": Exporter(
        "integers only, by litert-quantizer: of the ranges and weights that a learner found",
        make="utils.export.litert_quantizer:litert_file",
        ranks="utils.export.layer_errors:rank_layers",
        calibrated=True,
        keras=True,
        deployed=True,
        on_device=True,
        package="litert_quantizer",
        extra="litert",
    ),
    "int16x8": Exporter(
        "integers only, activations of 16 bits",
        make="utils.export.tflite:int16_file",
        ranks="utils.export.layer_errors:rank_layers",
        calibrated=True,
        own_ranges=True,
        on_device=True,
        loops=False,
    ),
    "tflm": Exporter(
        "integers only, weights of few values as indices and tables, for TensorFlow Lite Micro",
        make="utils.export.tflm:tflm_file",
        runner="utils.export.tflm:TFLMRunner",
        timed=None,  # reference kernels here, the device's own there
        calibrated=True,
        on_device=True,
        loops=False,
        package="tflite_micro",
        extra="tflm",
    ),
    # Its weights are compared bit by bit when it is made; sums may come in another order.
    "fpq": Exporter(
        "the Keras network, weights of few values as bit-packed indices",
        make="utils.export.packed:packed_file",
        runner="utils.export.packed:PackedRunner",
        timed=None,  # it is a form to store and send, not to run
        ending=".fpq",
        max_error=1e-6,
        keras=True,
        optional=True,
    ),
    "sparse": Exporter(
        "float weights without their zeros, float computation",
        make="utils.export.sparse:sparse_file",
        max_error=1e-4,
        optional=True,
    ),
}


def package_is_there(kind: str) -> bool:
    """Tell whether what a kind needs beyond Flowpress' own packages is installed."""
    package = EXPORTERS[kind].package
    return package is None or importlib.util.find_spec(package) is not None


def runs_decoded(target: str) -> bool:
    """Whether a target decodes weights from tables."""
    return find_target(target).runs == DECODED_FILE


def decoded_files(target: str | None) -> tuple[str, ...]:
    """List the kind of file whose weights a device decodes from tables; none where it does not.

    Args:
        target: the device; None for any.

    Returns:
        `("tflm",)` for devices of TensorFlow Lite Micro, where its package is installed.
    """
    able = target is not None and runs_decoded(target)
    return (DECODED_FILE,) if able and package_is_there(DECODED_FILE) else ()


def require_package(kind: str) -> None:
    """Refuse a kind whose package is not there.

    Raises:
        InputError: names the package and the extra that installs it.
    """
    row = EXPORTERS[kind]
    if not package_is_there(kind):
        raise InputError(
            f"a file of the kind {kind} needs the package {row.package}, which is not installed. "
            f"Install the extra `{row.extra}`: pip install '.[{row.extra}]', or leave {kind} out "
            "of --tflite."
        )


def is_timed(kind: str) -> bool:
    """Tell whether files of a kind are timed; of a kind that is not known here, yes."""
    row = EXPORTERS.get(kind)
    return row is None or row.timed is not None


def load_function(reference: str) -> Callable[..., Any]:
    """Import `module:function`."""
    module, _, name = reference.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function
