"""What a file gains from: which file decides, how its bytes count, which choices are offered.

| for | the file | bytes | zeros | bits |
|:--|:--|:--|:--|:--|
| `--target=tflm`, `cortex-m` (or `--tflite=…,tflm`) | `tflm` | as it lies in flash | none: an index of a zero takes as many bits | 8, or a table of 2 to 7 bits |
| `--target=litert` | `int8` | deflated, as in an app package | none: dense kernels | 2 to 8 |
| `--target=ethos-u…` | `int8` | deflated, as its compiler encodes weights, too | none | 2 to 8 |
| no target, an int8 file is written | `int8` | deflated | single weights | 2 to 8 |
| no int8 file is written | `fpq` | as it is | single weights | 2 to 8 |

A device of TensorFlow Lite Micro whose files are int8 only (without its package) gains from nothing
but channels.
"""  # noqa: E501  a table

import dataclasses
from collections.abc import Sequence
from typing import Literal

from learners.sparsity.masks import Granularity, parse_granularity
from utils.export.exporters import DECODED_FILE, runs_decoded

MICRO_FILE, INT8_FILE, PACKED_FILE = DECODED_FILE, "int8", "fpq"
DENSE, ELEMENT = "dense", "element"
PATTERNS = (DENSE, ELEMENT)
#: Percent of the weights that stay of a layer that has zeros.
PERCENTS = (75, 60, 50, 40, 30, 20, 12)
OF = 4  # of so many neighbouring weights, a pattern lets some stay
TABLE_BITS = 7  # the most that a table of TensorFlow Lite Micro has


@dataclasses.dataclass(frozen=True, kw_only=True)
class Offer:
    """What may be chosen for a network.

    Attributes:
        kind: the file that decides, of `utils.export.exporters.EXPORTERS`.
        deflated: its bytes count as deflate leaves them.
        grid: of the weights' grids, see `utils.quantization.grid`: `symmetric` where the file has
            scales for the whole range of int8, so that channels share values.
        options: per layer, the widest first.
    """

    kind: str
    deflated: bool
    grid: Literal["affine", "symmetric"]
    options: tuple["Option", ...]


@dataclasses.dataclass(frozen=True, kw_only=True, order=True)
class Option:
    """What a layer's weights are given.

    Attributes:
        bits: of each weight, 1 to 8.
        percent: of the weights that stay, in (0, 100].
        pattern: `dense`, `element`, or N:4.
    """

    bits: int = 8
    percent: int = 100
    pattern: str = DENSE

    @property
    def grain(self) -> Granularity | None:
        """What goes together; None where nothing goes."""
        return None if self.pattern == DENSE else parse_granularity(self.pattern)

    def count(self, size: int) -> int:
        """Say how many of a layer's weights stay, at least one."""
        return max(round(size * self.percent / 100), 1)


def deciding_file(kinds: Sequence[str], target: str | None) -> str:
    """Say which of a run's files decides.

    Args:
        kinds: of `.tflite` files that are written.
        target: the device; None for any.

    Example:
        >>> deciding_file(["float32", "int8", "tflm"], "tflm"), deciding_file(["float32"], None)
        ('tflm', 'fpq')
    """
    if MICRO_FILE in kinds and (target is None or runs_decoded(target)):
        return MICRO_FILE
    return INT8_FILE if INT8_FILE in kinds else PACKED_FILE


def make_offer(
    kinds: Sequence[str],
    target: str | None,
    *,
    patterns: Sequence[str] | None = None,
    bits_min: int = 2,
) -> Offer:
    """Say what a run may choose from.

    Args:
        kinds: of `.tflite` files that are written.
        target: the device; None for any.
        patterns: those that the user wants; None for those that the file gains from.
        bits_min: fewest bits.

    Returns:
        The offer.

    Example:
        >>> offer = make_offer(["int8", "tflm"], "tflm")
        >>> offer.kind, offer.deflated, sorted({option.bits for option in offer.options})
        ('tflm', False, [2, 3, 4, 5, 6, 7, 8])
        >>> {option.pattern for option in offer.options}
        {'dense'}
    """
    kind = deciding_file(kinds, target)
    raw = target is not None and runs_decoded(target)  # lies in flash as it is
    if patterns is None:
        patterns = PATTERNS if target is None and kind != MICRO_FILE else (DENSE,)
    gains_from_bits = kind != INT8_FILE or not raw
    widths = range(8, bits_min - 1, -1) if gains_from_bits else (8,)
    options = [Option(bits=bits) for bits in widths]
    for pattern in patterns if gains_from_bits else ():
        if pattern != DENSE:
            options += [
                Option(bits=bits, percent=percent, pattern=pattern)
                for percent in _percents(pattern)
                for bits in widths
            ]
    return Offer(
        kind=kind,
        deflated=kind == INT8_FILE and not raw,
        grid="symmetric" if kind == INT8_FILE else "affine",
        options=tuple(options),
    )


def _percents(pattern: str) -> tuple[int, ...]:
    grain = parse_granularity(pattern)
    return (round(100 * (1.0 - grain.ratio)),) if grain.is_pattern else PERCENTS


def parse_patterns(text: str) -> tuple[str, ...]:
    """Read a list of patterns.

    Raises:
        ValueError: says what is allowed.

    Example:
        >>> parse_patterns("dense, 2:4")
        ('dense', '2:4')
    """
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for part in found:
        if part not in PATTERNS and not _is_n_of_four(part):
            raise ValueError(
                "must be dense, element or N:4 with N < 4 (2:4), several separated by commas."
            )
    return found if DENSE in found else (DENSE, *found)


def _is_n_of_four(text: str) -> bool:
    try:
        return parse_granularity(text).of == OF  # what a setting file has an entry for
    except ValueError:
        return False
