"""The cheapest exact way to store an array: levels of a grid, a table of values, or raw numbers.

    levels:    value = float32(scale[slice] * level[index]), levels are integers that all share;
               where zero points differ, float32(scale[slice] * (level[index] + offset[slice]))
    codebook:  value = table[slice, index]
    raw:       the numbers themselves

Each can leave out exact zeros, behind a bitmap of the other entries. What was chosen is read off
the numbers and is exact bit by bit, but for one thing: -0.0 in a kernel becomes 0.0, an equal
number. Quantizers leave both, and telling them apart would cost a level.

An array's bytes are three sections, each filled up to a multiple of 4 bytes: bitmap, scales or
tables, indices or numbers (`Coding.sections`). They follow from the coding alone, so that a reader
knows them before it reads.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np

from utils.quantization.bit_packing import (
    MAX_WIDTH,
    pack_bits,
    packed_bytes,
    unpack_bits,
    width_for,
)
from utils.quantization.buckets import bucket_sizes
from utils.quantization.exact_grid import exact_step
from utils.quantization.slicing import Slicing, slicings

RAW, LEVELS, CODEBOOK = "raw", "levels", "codebook"
ALIGNMENT = 4
_MOST_VALUES = 1 << MAX_WIDTH
_BLOCK = 1 << 20  # entries that are decoded at a time


@dataclasses.dataclass(frozen=True, kw_only=True)
class Coding:
    """How an array is stored.

    Attributes:
        shape: of the array.
        dtype: of the array; float32 unless it is raw.
        kind: `RAW`, `LEVELS` or `CODEBOOK`.
        slicing: what shares a scale or a table.
        width: bits of an index, 1 to 8; 0 for raw.
        levels: of a grid: integers by index, ascending.
        scale_dtype: of a grid: float32, or float64 where no float32 gives the numbers.
        offsets: of a grid: each slice has an integer that is added to its levels.
        entries: of a codebook: values in each table.
        nonzeros: entries that are stored; None where all are and there is no bitmap.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    kind: str = RAW
    slicing: Slicing = dataclasses.field(default_factory=Slicing)
    width: int = 0
    levels: tuple[int, ...] = ()
    scale_dtype: str = "float32"
    offsets: bool = False
    entries: int = 0
    nonzeros: int | None = None

    @property
    def size(self) -> int:
        """Entries of the array."""
        return math.prod(self.shape)

    @property
    def stored(self) -> int:
        """Entries that are stored one by one."""
        return self.size if self.nonzeros is None else self.nonzeros

    @property
    def slices(self) -> int:
        """Slices of the array."""
        return self.slicing.count(self.shape)

    def sections(self) -> tuple[int, int, int]:
        """Give the bytes of bitmap, table and body, without what fills them up."""
        bitmap = 0 if self.nonzeros is None else packed_bytes(self.size, 1)
        if self.kind == RAW:
            return bitmap, 0, self.stored * np.dtype(self.dtype).itemsize
        if self.kind == LEVELS:
            table = self.slices * (np.dtype(self.scale_dtype).itemsize + 2 * self.offsets)
        else:
            table = 4 * self.slices * self.entries
        return bitmap, table, packed_bytes(self.stored, self.width)

    @property
    def num_bytes(self) -> int:
        """Bytes of the array in the file."""
        return sum(map(filled, self.sections()))


def filled(size: int) -> int:
    """Round a section's bytes up to the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def encode(array: np.ndarray) -> tuple[Coding, bytes]:
    """Store an array in the fewest bytes.

    Args:
        array: any numbers; kernels, float32 of two or more axes, are looked at closely.

    Returns:
        The coding, and `coding.num_bytes` bytes.

    Example:
        >>> grid = np.float32(0.25) * np.random.default_rng(0).integers(-7, 8, (30, 40))
        >>> coding, content = encode(grid.astype(np.float32))
        >>> coding.kind, coding.width, len(content)
        ('levels', 4, 604)
    """
    if array.dtype == np.float32 and array.ndim >= 2 and array.size and np.isfinite(array).all():
        kernel = array + np.float32(0)  # -0.0 + 0.0 is 0.0
        plan = _cheapest(kernel)
        if plan.coding.num_bytes < filled(array.nbytes):
            content = plan.content(kernel)
            if not np.array_equal(decode(plan.coding, content), kernel):
                raise RuntimeError(f"{plan.coding} does not give the kernel back.")
            return plan.coding, content
    return Coding(shape=array.shape, dtype=str(array.dtype)), _fill(_little(array).tobytes())


def decode(coding: Coding, content: bytes | memoryview) -> np.ndarray:
    """Read what `encode` wrote.

    Args:
        coding: with bounds that make sense, see `utils.quantization.packed`.
        content: `coding.num_bytes` bytes.

    Returns:
        The array, writable.

    Raises:
        ValueError: if the bytes are not what the coding says: their number, the bitmap's set bits,
            an index without a level.
    """
    if len(content) != coding.num_bytes:
        raise ValueError(f"it has {len(content)} bytes, its coding says {coding.num_bytes}")
    bitmap, table, body = _cut(content, coding.sections())
    mask = np.ones(coding.size, bool)
    if coding.nonzeros is not None:
        mask = unpack_bits(bitmap, coding.size, 1).astype(bool)
        if np.count_nonzero(mask) != coding.nonzeros:
            raise ValueError(
                f"its bitmap has {np.count_nonzero(mask)} bits set, its coding says "
                f"{coding.nonzeros}"
            )
    found = np.zeros(coding.size, coding.dtype)
    if coding.kind == RAW:
        found[mask] = np.frombuffer(body, np.dtype(coding.dtype).newbyteorder("<"))
    else:
        _look_up(coding, table, body, mask, found)
    return found.reshape(coding.shape)


def _look_up(
    coding: Coding, table: bytes, body: bytes, mask: np.ndarray, found: np.ndarray
) -> None:
    """Put the values of indices where the mask is set, a block at a time: memory is for `found`."""
    indices = unpack_bits(body, coding.stored, coding.width)
    choices = len(coding.levels) if coding.kind == LEVELS else coding.entries
    if indices.size and indices.max() >= choices:
        raise ValueError(f"it has the index {indices.max()}, with values for {choices}")
    values = _table_values if coding.kind == CODEBOOK else _grid_values
    done = 0
    for start in range(0, coding.size, _BLOCK):
        places = start + np.flatnonzero(mask[start : start + _BLOCK])
        chosen = indices[done : done + places.size]
        done += places.size
        found[places] = values(coding, table, coding.slicing.numbers(coding.shape, places), chosen)


def _table_values(
    coding: Coding, table: bytes, slices: np.ndarray, indices: np.ndarray
) -> np.ndarray:
    return np.frombuffer(table, "<f4")[slices * coding.entries + indices]


def _grid_values(
    coding: Coding, table: bytes, slices: np.ndarray, indices: np.ndarray
) -> np.ndarray:
    dtype = np.dtype(coding.scale_dtype).newbyteorder("<")
    scales = np.frombuffer(table, dtype, count=coding.slices)
    levels = np.array(coding.levels, np.float64)[indices]
    if coding.offsets:
        levels += np.frombuffer(table, "<i2", offset=scales.nbytes)[slices]
    with np.errstate(all="ignore"):  # a file may hold any scale
        return (scales[slices].astype(np.float64) * levels).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class _Plan:
    """A coding, and what its table section holds."""

    coding: Coding
    scales: np.ndarray | None = None  # [slices]
    offsets: np.ndarray | None = None  # [slices]
    tables: Sequence[np.ndarray] = ()  # sorted values of each slice

    def content(self, kernel: np.ndarray) -> bytes:
        """Write the three sections of a kernel."""
        coding, flat = self.coding, kernel.ravel()
        mask = flat != 0 if coding.nonzeros is not None else np.ones(flat.size, bool)
        bitmap = pack_bits(mask, 1) if coding.nonzeros is not None else b""
        if coding.kind == RAW:
            return _fill(bitmap) + _fill(_little(flat[mask]).tobytes())
        table, indices = self._by_scales(flat) if self.scales is not None else self._by_tables(flat)
        return _fill(bitmap) + _fill(table) + _fill(pack_bits(indices[mask], coding.width))

    def _by_scales(self, flat: np.ndarray) -> tuple[bytes, np.ndarray]:
        scales = np.asarray(self.scales, np.float64)
        numbers = self.coding.slicing.numbers(self.coding.shape)
        levels = np.rint(flat / scales[numbers]).astype(np.int64)
        table = _little(scales.astype(self.coding.scale_dtype)).tobytes()
        if self.offsets is not None:
            levels -= self.offsets[numbers]
            table += self.offsets.astype("<i2").tobytes()
        return table, np.searchsorted(self.coding.levels, levels)

    def _by_tables(self, flat: np.ndarray) -> tuple[bytes, np.ndarray]:
        """Tables that are shorter than the longest repeat their last value."""
        tables = np.zeros((self.coding.slices, self.coding.entries), np.float32)
        indices = np.zeros(flat.size, np.int64)
        positions = self.coding.slicing.positions(self.coding.shape)
        for row, values, places in zip(tables, self.tables, positions, strict=True):
            if values.size:
                row[: values.size], row[values.size :] = values, values[-1]
                indices[places] = np.minimum(np.searchsorted(values, flat[places]), values.size - 1)
        return _little(tables).tobytes(), indices


def _cheapest(kernel: np.ndarray) -> _Plan:
    """Find the coding of the fewest bytes that gives a kernel back."""
    best = _Plan(Coding(shape=kernel.shape))
    if not kernel.all():
        thinned = _Plan(Coding(shape=kernel.shape, nonzeros=int(np.count_nonzero(kernel))))
        best = min(best, thinned, key=_num_bytes)
    own = [Slicing(bucket=size) for size in bucket_sizes(kernel)]
    for slicing in dict.fromkeys([*slicings(kernel.shape), *own]):
        contents = _contents(kernel, slicing, _num_bytes(best))
        best = min([best, *_plans(kernel, slicing, contents)], key=_num_bytes)
    return best


def _num_bytes(plan: _Plan) -> int:
    return plan.coding.num_bytes


_Step = tuple[float, np.ndarray]


@dataclasses.dataclass
class _Contents:
    """What a kernel's slices hold.

    Attributes:
        distinct: each slice's different numbers except zero, ascending.
        steps: step and levels of those; None where one slice is on no grid.
        singles: the same with steps that are float32.
    """

    distinct: list[np.ndarray] = dataclasses.field(default_factory=list)
    steps: list[_Step] | None = dataclasses.field(default_factory=list)
    singles: list[_Step] | None = dataclasses.field(default_factory=list)

    def add(self, values: np.ndarray) -> _Step | None:
        """Add a slice; give its step and levels, None once there is a slice on no grid."""
        self.distinct.append(values)
        if self.steps is None:
            return None
        step = exact_step(values)
        if step is None:
            self.steps = self.singles = None
            return None
        self.steps.append(step)
        if self.singles is not None:
            is_single = step[0] == float(np.float32(step[0]))
            single = step if is_single else exact_step(values, single=True)
            self.singles = None if single is None else [*self.singles, single]
        return step


def _contents(kernel: np.ndarray, slicing: Slicing, limit: int) -> _Contents | None:
    """Read the slices; None once no coding by them can have fewer bytes than `limit`.

    Any floats fail at the first slice, and slices finer than those of the quantizer soon.
    """
    slices, stored = slicing.count(kernel.shape), int(np.count_nonzero(kernel))
    found, levels, span, entries = _Contents(), np.zeros(0, np.int64), 1, 1
    for row in slicing.rows(kernel):
        values = np.unique(row)
        values = values[values != 0]
        entries = max(entries, values.size)
        if entries > _MOST_VALUES:
            return None
        step = found.add(values)
        least = 4 * slices * entries + packed_bytes(stored, width_for(entries))
        if step is not None:
            levels = np.union1d(levels, step[1])
            span = max(span, int(np.ptp(step[1])) + 1 if step[1].size else 1)
            choices = min(max(levels.size, 1), span, _MOST_VALUES)
            least = min(least, 4 * slices + packed_bytes(stored, width_for(choices)))
        if least >= limit:
            return None
    return found


def _plans(kernel: np.ndarray, slicing: Slicing, contents: _Contents | None) -> Iterator[_Plan]:
    """Plan a grid and a codebook, with all entries and with those that are not zero."""
    if contents is None:
        return
    nonzeros = int(np.count_nonzero(kernel))
    for left in (None, nonzeros) if nonzeros < kernel.size else (None,):
        zeros = [not row.all() and left is None for row in slicing.rows(kernel)]
        coding = Coding(shape=kernel.shape, slicing=slicing, nonzeros=left)
        for steps in (contents.singles, contents.steps):
            if steps is not None:
                yield from _grids(coding, steps, zeros)
        yield from _codebooks(coding, contents, zeros)


def _grids(coding: Coding, steps: Sequence[_Step], zeros: Sequence[bool]) -> Iterator[_Plan]:
    """Plan a grid whose levels all slices share, and one whose levels begin where a slice's do."""
    scales = np.array([step for step, _ in steps])
    single = np.array_equal(scales, scales.astype(np.float32))
    coding = dataclasses.replace(
        coding, kind=LEVELS, scale_dtype="float32" if single else "float64"
    )
    slices = [
        np.append(levels, 0) if zero else levels
        for (_, levels), zero in zip(steps, zeros, strict=True)
    ]
    shared = np.unique(np.concatenate(slices))
    if 1 <= shared.size <= _MOST_VALUES:
        yield _Plan(_with_levels(coding, shared), scales=scales)
    offsets = np.array([levels.min() if levels.size else 0 for levels in slices])
    span = 1 + max((int(np.ptp(levels)) for levels in slices if levels.size), default=0)
    if span < shared.size and span <= _MOST_VALUES:
        coding = dataclasses.replace(_with_levels(coding, np.arange(span)), offsets=True)
        yield _Plan(coding, scales=scales, offsets=offsets)


def _with_levels(coding: Coding, levels: np.ndarray) -> Coding:
    width, listed = width_for(levels.size), tuple(map(int, levels))
    return dataclasses.replace(coding, width=width, levels=listed)


def _codebooks(coding: Coding, contents: _Contents, zeros: Sequence[bool]) -> Iterator[_Plan]:
    """Plan a table for each slice; zero is in it where the slice has one."""
    tables = [
        np.sort(np.append(values, np.float32(0))) if zero else values
        for values, zero in zip(contents.distinct, zeros, strict=True)
    ]
    entries = max(table.size for table in tables)
    if 1 <= entries <= _MOST_VALUES:
        width = width_for(entries)
        coding = dataclasses.replace(coding, kind=CODEBOOK, width=width, entries=entries)
        yield _Plan(coding, tables=tables)


def _little(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _fill(section: bytes) -> bytes:
    return section + bytes(filled(len(section)) - len(section))


def _cut(content: bytes | memoryview, sizes: Sequence[int]) -> list[bytes]:
    found, start = [], 0
    for size in sizes:
        found.append(bytes(content[start : start + size]))
        start += filled(size)
    return found
