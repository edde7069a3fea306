"""Flags of the export: which `.tflite` files, how they are calibrated, when they are refused."""

import dataclasses

from utils.errors import InputError
from utils.export.exporters import EXPORTERS, require_package
from utils.export.targets import NAMES, find_target
from utils.export.targets_tools import require_tools
from utils.flags import flag, group, nearest

#: The kinds of `.tflite` file, in the order in which they are written and reported.
KINDS = tuple(kind for kind, row in EXPORTERS.items() if row.ending == ".tflite")


def parse_kinds(text: str) -> tuple[str, ...]:
    """Split a comma-separated list of kinds.

    Args:
        text: e.g. `"float32,int8"`; empty or `"none"` for no file at all.

    Returns:
        The kinds in the order of `KINDS`, each once.

    Raises:
        InputError: for a kind that does not exist.

    Example:
        >>> parse_kinds("int8, float32")
        ('float32', 'int8')
    """
    wanted = {part.strip() for part in text.split(",")} - {"", "none"}
    if "fpq" in wanted:
        raise InputError("the packed file is no .tflite file. Write it with --packed=always.")
    for kind in sorted(wanted - set(KINDS)):
        raise InputError(f"there is no .tflite file of the kind {kind!r}. {nearest(kind, KINDS)}")
    return tuple(kind for kind in KINDS if kind in wanted)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatencyConfig:
    """How latency is measured."""

    nb_repts_warmup: int = flag(100, "Calls before the clock starts.", lower=0, upper=100_000)
    nb_repts: int = flag(100, "Timed calls of each file.", lower=1, upper=100_000)
    latency_threads: int = flag(1, "Threads that a timed call may use.", lower=1, upper=256)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """How far a `.tflite` file may be from its Keras model.

    A float32 file computes the same function; its limit (`utils.export.check.MAX_FLOAT_ERROR`) is
    rounding and no flag. The flags are about files with int8 weights.
    """

    tflite_max_gap: float = flag(
        0.01,
        "Largest loss of accuracy from the Keras model to its .tflite file; more fails the export.",
        unit="fraction of the test samples",
        lower=0.0,
        upper=1.0,
    )
    tflite_min_agreement: float = flag(
        0.97,
        "Smallest part of the test samples on which both choose the same class.",
        unit="fraction of the test samples",
        lower=0.0,
        upper=1.0,
    )
    tflite_max_error: float = flag(
        0.15,
        "Largest root mean square of the difference over that of the Keras outputs, "
        "for networks that choose no class.",
        lower=0.0,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """How files are made."""

    nb_smpls_calib: int = flag(
        100,
        "Training samples, without augmentation, that the int8 ranges are taken from.",
        lower=1,
        upper=100_000,
    )
    tflite_io: str = flag(
        "int8",
        "What an int8 file takes and gives: int8 or uint8 (scale and zero point in the file), or "
        "float32.",
        choices=("int8", "uint8", "float32"),
    )
    target: str | None = flag(
        None,
        "The device: litert (phones), tflm (microcontrollers), cortex-m (with CMSIS-NN), ethos-u55 "
        "(of 128 multiply-adds per cycle), ethos-u65 (256), ethos-u85 (256), or another Ethos-U by "
        "its whole name. Operators that it cannot compute in integers are refused at the start, "
        "channels are kept in its multiples, int8 files run in its interpreter or compiler.",
        choices=NAMES,
    )
    allow_float: bool = flag(
        False,
        "Operators that the target does not compute in integers stay float, or on its CPU.",
        needs=("target", "a device"),
    )
    tflite_metadata: bool = flag(
        False,
        "Labels and normalization of the data set in each .tflite file, as TensorFlow Lite's "
        "metadata; about 1 kB.",
    )
    export_c_array: bool = flag(
        False,
        "Also write files of integers as arrays in C (.h and .cc), for devices without a file "
        "system.",
    )
    packed: str = flag(
        "auto",
        "Whether the packed file, model.fpq, is written: auto (where a kernel has fewer than 8 "
        "bits, or its bytes decided what was chosen), always, never.",
        choices=("auto", "always", "never"),
    )
    tflite_minutes: float = flag(
        30.0,
        "A file that takes longer to convert and run once has failed.",
        unit="minutes",
        lower=0.0,
        upper=525_600.0,
        lower_open=True,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """The `.tflite` files of a run."""

    tflite: str = flag(
        "float32,int8",
        "Kinds of .tflite files, separated by commas: float32, dynamic (int8 weights, float "
        "computation where no integer kernel is), int8 (integers only), int8-litert (the same, "
        "made by litert-quantizer of the ranges and weights that uniform-tf found), int16x8 (int8 "
        "with activations of 16 bits), tflm (int8, weights of few values decoded from tables by "
        "TensorFlow Lite Micro); none for no file.",
    )
    export_sparse: bool = flag(
        False,
        "Also write a float32 .tflite file without its zeros (_sparse.tflite), where it is smaller "
        "and its numbers are the same; no faster, but for Dense layers pruned in tiles of 1x4.",
    )
    convert: ConvertConfig = group(ConvertConfig)
    check: CheckConfig = group(CheckConfig)
    latency: LatencyConfig = group(LatencyConfig)

    def kinds(self) -> tuple[str, ...]:
        """List the kinds of `tflite`, see `parse_kinds`; with `export_sparse` that one too."""
        return parse_kinds(f"{self.tflite},{'sparse' if self.export_sparse else ''}")

    def require_possible(self, *, deploys: bool = True) -> None:
        """Refuse what could not be written or estimated in the end.

        Args:
            deploys: whether the run leaves a network with the ranges of its files in it.

        Raises:
            InputError: for an unknown kind, or one whose package is not installed; for a target
                without its package or without a file that could run there.
        """
        kinds = self.kinds()
        for kind in kinds:
            if EXPORTERS[kind].deployed and not deploys:
                raise InputError(
                    f"a file of the kind {kind} is made of the ranges that uniform-tf finds, and "
                    f"--learner ends with another. End it with uniform-tf, or leave {kind} out of "
                    "--tflite."
                )
            require_package(kind)
        self._check_target(kinds)

    def _check_target(self, kinds: tuple[str, ...]) -> None:
        """Refuse kinds that say nothing about the target, or cannot run there."""
        target = self.convert.target
        if target is None:
            return
        require_tools(target)
        if not any(EXPORTERS[kind].on_device for kind in kinds):
            raise InputError(
                "`target` is about int8 files, and none is written. Received: "
                f"--tflite={self.tflite}. Add int8 to it."
            )
        if "tflm" in kinds and find_target(target).runs != "tflm":
            raise InputError(
                f"a file of the kind tflm runs in TensorFlow Lite Micro only. Received: "
                f"--tflite={self.tflite} with --target={target}. Leave tflm out."
            )
