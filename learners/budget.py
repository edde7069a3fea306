"""Budgets: what a network may keep of its multiply-adds, weights, bits, file, time or memory."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping

from utils.errors import InputError

Hint = str | Callable[[], str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of cost that can be limited.

    Attributes:
        units: what amounts are written in -> how much that is.
        tolerance: how far a result may be from the target, as a share of it.
        measured: whether it is that of the exported file; the others are counted.
        of_machine: whether another machine measures something else.
        each: what every weight has of it in the uncompressed network, where a number above 1
            without a unit says how much of that each may keep, on average; None where such numbers
            mean nothing.
    """

    units: Mapping[str, float]
    tolerance: float = 0.02
    measured: bool = False
    of_machine: bool = False
    each: float | None = None


KINDS = {
    "flops": Kind(units={"k": 1e3, "M": 1e6, "G": 1e9}),
    "params": Kind(units={"k": 1e3, "M": 1e6}),
    "nonzeros": Kind(units={"k": 1e3, "M": 1e6}),
    "bits": Kind(units={"k": 1e3, "M": 1e6}, each=32.0),
    "bytes": Kind(units={"kB": 1e3, "MB": 1e6, "B": 1.0}, measured=True),
    # Of an int8 file on the target, see `utils.export.targets_cost`.
    "cycles": Kind(units={"k": 1e3, "M": 1e6}, measured=True),
    "sram": Kind(units={"kB": 1e3, "MB": 1e6, "B": 1.0}, measured=True),
    # Latency cannot be repeated more exactly.
    "latency": Kind(units={"ms": 1.0}, tolerance=0.05, measured=True, of_machine=True),
}


@dataclasses.dataclass(frozen=True)
class Limit:
    """What may be kept of one kind of cost: a share or an amount, the other is None.

    Attributes:
        kind: `flops` (multiply-adds), `params`, `nonzeros` (weights that are not zero), `bits` of
            all weights together, `bytes` of the exported `.tflite` file, `latency` of that file on
            this machine, one image on one thread, or `cycles` and `sram` (peak of the working
            memory) of the int8 file on the target.
        share: of the uncompressed network's, in (0, 1].
        amount: multiply-adds, parameters, weights, bits, bytes, milliseconds or cycles.
    """

    kind: str
    share: float | None = None
    amount: float | None = None

    def target(self, full: float) -> float:
        """Give the amount that may be kept where the whole network costs `full`."""
        return self.share * full if self.share is not None else float(self.amount or 0.0)


@dataclasses.dataclass(frozen=True)
class Budget:
    """What may be kept, of one or several kinds; all limits hold, at least one is to be used up.

    Attributes:
        text: as the user wrote it.
        limits: one per kind.
        target: the device that `cycles` and `sram` are of, of `utils.export.targets.NAMES`.
    """

    text: str
    limits: tuple[Limit, ...]
    target: str | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that are limited."""
        return tuple(limit.kind for limit in self.limits)

    def targets(self, full: Mapping[str, float]) -> dict[str, float]:
        """Give the amount of each kind that may be kept.

        Args:
            full: kind -> what the uncompressed network costs.

        Returns:
            Kind -> target.
        """
        return {limit.kind: limit.target(full[limit.kind]) for limit in self.limits}

    def check_reachable(
        self, full: Mapping[str, float], least: Mapping[str, float], *, hint: Hint = ""
    ) -> None:
        """Refuse a budget that no choice meets.

        Args:
            full: kind -> what the uncompressed network costs.
            least: kind -> what the smallest network costs.
            hint: what else can be done, to follow "Choose a target in that range, or "; a function
                gives it, where that takes work, once it is needed.

        Raises:
            InputError: gives the reachable range of the kind that cannot be met, or of all kinds
                where the whole network is below every limit.
        """
        targets = self.targets(full)
        for kind, target in targets.items():
            if target < least[kind] * (1.0 - KINDS[kind].tolerance):
                raise InputError(self._out_of_reach((kind,), full, least, hint))
        if all(targets[kind] > full[kind] * (1.0 + KINDS[kind].tolerance) for kind in targets):
            raise InputError(self._out_of_reach(self.kinds, full, least, hint))

    def _out_of_reach(
        self,
        kinds: tuple[str, ...],
        full: Mapping[str, float],
        least: Mapping[str, float],
        hint: Hint,
    ) -> str:
        text = hint if isinstance(hint, str) else hint()
        ranges = "; ".join(
            f"{kind} between {least[kind] / full[kind]:.3f} ({describe(kind, least[kind])}) and "
            f"1.000 ({describe(kind, full[kind])})"
            for kind in kinds
        )
        advice = f"Choose a target in that range{', or ' if text else ''}{text}."
        return f"The budget {self.text} cannot be met: this network can keep {ranges}. {advice}"


def parse_budget(text: str, kinds: Iterable[str] = KINDS) -> Budget:
    """Read a budget such as `flops:0.5`, `latency:2.5ms` or `params:0.4,bytes:300kB`.

    `bits:3` is three bits for each weight, on average: a share of 3 / 32.

    Args:
        text: limits, separated by commas.
        kinds: those that can be limited here, e.g. a quantity's (`learners.quantity`).

    Returns:
        The budget.

    Raises:
        InputError: for an unknown kind or one that cannot be limited here, a kind given twice, a
            share outside (0, 1], an amount with a unit that the kind does not have.

    Example:
        >>> parse_budget("latency:2.5ms").limits
        (Limit(kind='latency', share=None, amount=2.5),)
    """
    allowed = tuple(kinds)
    limits = tuple(_parse_limit(part.strip(), text, allowed) for part in text.split(","))
    given = [limit.kind for limit in limits]
    if len(set(given)) < len(given):
        raise InputError(f"`budget` must give each kind once. Received: {text!r}.")
    return Budget(text, limits)


def _parse_limit(part: str, text: str, kinds: tuple[str, ...]) -> Limit:
    kind, _, amount = part.partition(":")
    units = KINDS[kind].units if kind in kinds else {}
    unit = next((unit for unit in units if amount.endswith(unit)), "")
    try:
        number = float(amount.removesuffix(unit) if unit else amount)
    except ValueError:
        number = math.nan
    if units and unit and 0.0 < number < math.inf:
        return Limit(kind, amount=number * units[unit])
    if units and not unit and 0.0 < number <= 1.0:
        return Limit(kind, share=number)
    each = KINDS[kind].each if units and not unit else None
    if each is not None and 1.0 < number <= each:
        return Limit(kind, share=number / each)
    allowed = ", ".join(f"{each} (or an amount in {_units(each)})" for each in kinds)
    examples = f"{kinds[0]}:0.5 or {kinds[-1]}:2.5{next(iter(KINDS[kinds[-1]].units))}"
    raise InputError(
        "`budget` must be KIND:SHARE with the share that is kept in (0, 1], several separated by "
        f"commas, e.g. {examples}. Kinds: {allowed}. Received: {text!r}."
    )


def _units(kind: str) -> str:
    units = "/".join(KINDS[kind].units)
    return units if KINDS[kind].each is None else f"{units}, or {kind}:4 for 4 of each weight"


def describe(kind: str, amount: float) -> str:
    """Write an amount for people.

    Example:
        >>> describe("latency", 0.4312), describe("flops", 40.6e6), describe("bytes", 1092696)
        ('0.431 ms', '40.6 M', '1.09 MB')
    """
    units = KINDS[kind].units
    for unit, factor in sorted(units.items(), key=lambda item: -item[1]):
        if amount >= factor:
            return f"{amount / factor:.3g} {unit}"
    single = next((unit for unit, factor in units.items() if factor == 1.0), None)
    return f"{amount:.0f}" if single is None else f"{amount:.3g} {single}"


def keep_count(size: int, ratio: float, round_to: int) -> int:
    """Say how many of `size` channels stay when the fraction `ratio` is removed.

    Args:
        size: channels now.
        ratio: fraction removed, in [0, 1).
        round_to: the count is the nearest multiple of this where that leaves between `round_to` and
            `size` channels; a group no larger than `round_to` is rounded to single channels.

    Returns:
        The count, at least 1.

    Example:
        >>> keep_count(64, 0.45, 1), keep_count(64, 0.45, 8), keep_count(6, 0.5, 8)
        (35, 32, 3)
    """
    wanted = (1.0 - ratio) * size
    if round_to > 1 and size > round_to:
        multiple = max(round(wanted / round_to), 1) * round_to
        return min(multiple, size)
    return min(max(round(wanted), 1), size)
