"""Files with one ratio for each layer, separated by commas: how much of it stays, or goes."""

import dataclasses
import math
import os
import re

from utils.errors import InputError
from utils.regular_file import read_text

_MAX_BYTES = 2**20
_BETWEEN = re.compile(r"\s*,\s*|\s+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RatioList:
    """One ratio for each layer.

    Attributes:
        ratios: the fraction removed from each layer, in [0, 1), in the order of the network.
        source: flag and file, for messages.
    """

    ratios: tuple[float, ...]
    source: str


def read_ratios(path: str | os.PathLike[str], flag: str, *, removed: bool) -> RatioList:
    """Read and check a list of ratios.

    Args:
        path: a text file of numbers, separated by commas, spaces or ends of lines.
        flag: that names it, for messages.
        removed: the numbers say how much goes, in [0, 1); else how much stays, in (0, 1].

    Returns:
        The list.

    Raises:
        InputError: if the file cannot be read, is empty, or has an entry that is no such number.
    """
    source = f"`{flag}`: {os.fspath(path)}"
    text = _text(path, source).strip().rstrip(",")
    if not text:
        raise InputError(f"{source} is empty. Write one ratio for each layer, between commas.")
    ratios = tuple(
        _ratio(entry, f"{source}, entry {number}", removed=removed)
        for number, entry in enumerate(_BETWEEN.split(text), start=1)
    )
    return RatioList(ratios=ratios, source=source)


def _text(path: str | os.PathLike[str], source: str) -> str:
    try:
        return read_text(path, _MAX_BYTES)
    except InputError as error:
        raise InputError(
            f"{source} cannot be read as a list of ratios: {error} Give a text file with one ratio "
            "for each layer, separated by commas."
        ) from error


def _ratio(entry: str, place: str, *, removed: bool) -> float:
    try:
        value = float(entry)
    except ValueError:
        value = math.nan
    ratio = value if removed else 1.0 - value
    if not 0.0 <= ratio < 1.0:
        allowed = "removed, in [0, 1)" if removed else "that stays, in (0, 1]"
        raise InputError(f"{place}: must be the fraction {allowed}. Received: {entry!r}.")
    return ratio
