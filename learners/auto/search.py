"""The hunt for the smallest file that is good enough, and what it is compared with.

1. Each way of making the network smaller is tried by itself, such that the tables expect the same
   error of all; what the outputs really err then scales the tables, way by way.
2. Sizes are bisected (`hunt.py`): of each the best joint choice is made, and its file run on
   held-out images. The smallest that loses no more than is allowed wins; with a budget for the
   bytes nothing larger is tried.
3. At the bytes of the winner the best choices of each way alone are made, for comparison. One that
   turns out smaller, and is inside too, wins instead.
"""

import dataclasses
from collections.abc import Callable, Sequence

from learners.auto.allocate import CHANNELS, Scales
from learners.auto.hunt import Tried, next_size
from learners.auto.record import Trial
from learners.auto.workshop import Candidate, Workshop
from utils.errors import InputError

JOINT, TUNED = "joint", "tuned"
FIRST_SHARE = 0.4  # of the bytes at the most bits: where the hunt begins
PROBE = "probe of "
_TINY = 1e-9
MAX_FITTINGS = 3  # of a budget for bytes
FIT = 0.98  # of such a budget, that is used at the least where sizes are told apart so well


@dataclasses.dataclass(frozen=True, kw_only=True)
class Goal:
    """What is wanted.

    Attributes:
        max_drop: points that may be lost; None where only budgets rule.
        max_bytes: of the file; None where nothing limits them.
        num_candidates: that are tried for `max_drop`.
        text: in words, for reports.
    """

    max_drop: float | None
    max_bytes: float | None
    num_candidates: int
    text: str


class Search:
    """Carries the hunt out.

    Args:
        workshop: makes candidates.
        goal: what is wanted.
        rest: bytes of a file besides its kernels, about.
        say: shows a sentence.

    Attributes:
        workshop: as given.
        candidates: joint choices that were made, in order.
        tuned: those that were fine-tuned, as they were then.
        compared: way -> the candidate that was made in that way alone.
        together: the joint choice that these are compared with; None before.
        scales: way -> what the tables' errors of it count; empty before, and with one way only.
    """

    def __init__(
        self, workshop: Workshop, goal: Goal, rest: float, say: Callable[[str], None]
    ) -> None:
        self.workshop, self._goal, self._rest, self._say = workshop, goal, rest, say
        self._room = 0.0
        self.candidates: list[Candidate] = []
        self.tuned: list[Candidate] = []
        self.compared: dict[str, Trial] = {}
        self.together: Trial | None = None
        self.scales: dict[str, float] = {}

    def calibrate(self) -> None:
        """Try each way by itself and scale the tables' errors."""
        workshop, ways = self.workshop, self.workshop.ways
        if len(ways) < 2:
            return
        level = workshop.answer_of_size(FIRST_SHARE * workshop.most, ways[-1]).error
        for way in ways:
            answer = workshop.answer_of_error(level, way)
            trial = workshop.make(answer, f"{PROBE}{way}", answer.bytes).trial
            self.tell(trial)
            self.scales[way] = max(trial.error, _TINY) / max(trial.predicted, _TINY)
        workshop.scales = Scales(**self.scales)

    def run(self, max_drop: float | None, *, room: float = 0.0) -> Candidate | None:
        """Hunt.

        Args:
            max_drop: points that may be lost; None for the best choice within the budgets.
            room: share of a budget for deflated bytes that is left for what training adds.

        Returns:
            The smallest candidate inside; None where none is.

        Raises:
            InputError: a budget for bytes that is not met.
        """
        self._room = room if self.workshop.offer.deflated else 0.0
        if max_drop is None:
            return self._fitted()
        workshop = self.workshop
        for _ in range(self._goal.num_candidates):
            tried = [
                Tried(size=c.trial.size, drop=c.trial.drop)
                for c in self.candidates
                if self.is_within(c)
            ]
            size = next_size(
                tried,
                max_drop,
                first=FIRST_SHARE * workshop.most,
                least=workshop.least,
                most=self.most,  # which follows from the last file
            )
            if size is None:
                break
            self.make(size)
        return self.best(max_drop) or self._last(max_drop)

    def make(self, size: float) -> Candidate:
        """Make and keep the best joint choice of a size."""
        answer = self.workshop.answer(size)
        candidate = self.workshop.make(answer, JOINT, size)
        self._rest = candidate.trial.num_bytes - answer.bytes
        self.candidates.append(candidate)
        self.tell(candidate.trial)
        return candidate

    def best(self, max_drop: float) -> Candidate | None:
        """Give the smallest candidate that loses no more; None where none does."""
        inside = [c for c in self.candidates if c.trial.drop <= max_drop and self.is_within(c)]
        return min(inside, key=lambda c: (c.trial.num_bytes, c.trial.drop), default=None)

    def nearest(self) -> Candidate:
        """Give the candidate within the budget for bytes that loses least."""
        within = [c for c in self.candidates if self.is_within(c)] or self.candidates
        return min(within, key=lambda c: c.trial.drop)

    def compare(self, winner: Candidate) -> Candidate:
        """Make, at the bytes of the winner, the best choice of each way alone.

        Returns:
            What is best of all: the winner, or one of those that is within the budget for bytes and
            smaller, inside `max_drop`; or loses less, where that budget alone rules. What was
            fine-tuned is not held against what was not.
        """
        workshop, self.together = self.workshop, winner.trial
        size, best = winner.trial.num_bytes - self._rest, winner
        for way in workshop.ways if len(workshop.ways) > 1 else ():
            if workshop.budget is not None and way != CHANNELS:
                continue  # other budgets are met by channels alone
            answer = workshop.answer_of_size(size, way)
            candidate = workshop.make(answer, way, size)
            self.compared[way] = candidate.trial
            self.tell(candidate.trial)
            if self._is_better(candidate, best):
                best = candidate
        return best

    def _is_better(self, candidate: Candidate, best: Candidate) -> bool:
        trial, wanted = candidate.trial, self._goal.max_drop
        if best.trial.label == TUNED or not self.is_within(candidate):
            return False
        if wanted is None:
            return self.workshop.budget is None and trial.drop < best.trial.drop
        return trial.drop <= wanted and trial.num_bytes < best.trial.num_bytes

    def refuse(self, max_drop: float) -> InputError:
        """Say what is the best that there is: what loses least, or that the budget leaves none."""
        made = [*self.tuned, *self.candidates]
        within = [c.trial for c in made if self.is_within(c)]
        if not within:
            return self.unmet(made)
        best = min(within, key=lambda trial: trial.drop)
        budget = " within the budget" if self._goal.max_bytes or self.workshop.budget else ""
        trained = "more epochs" if self.tuned else "epochs to fine-tune it (--nb_epochs=1)"
        return InputError(
            f"`max_drop`: no file{budget} that was tried loses {max_drop:g} {self.unit} or less. "
            f"The best loses {best.drop:.2f} with {best.num_bytes:,} bytes. Give "
            f"--max_drop={_rounded_up(best.drop):g}, "
            f"{'a larger budget, ' if budget else ''}or {trained}."
        )

    def unmet(self, made: Sequence[Candidate]) -> InputError:
        """Say that none of some files keeps the budget for bytes."""
        smallest = min(candidate.trial.num_bytes for candidate in made)
        return InputError(
            f"The budget {self._goal.text} cannot be met: the smallest of {len(made)} files that "
            f"were made has {smallest:,} bytes, the budget leaves {self._goal.max_bytes:,.0f}. "
            "Give it that many, a smaller --auto_bits_min, or --auto_residual=joint."
        )

    def _fitted(self) -> Candidate:
        """Make the best choice within the budgets; with one for the bytes until its file fits."""
        limit = self._aim
        size = self.most
        for _ in range(MAX_FITTINGS):
            candidate = self.make(size)
            found = candidate.trial.num_bytes
            if limit is None or FIT * limit <= found <= limit or self.most == size:
                break
            size = self.most
        within = [c for c in self.candidates if self.is_within(c)]
        if not within:
            raise self.unmet(self.candidates)
        fits = [c for c in within if limit is None or c.trial.num_bytes <= limit]
        if not fits:
            return min(within, key=lambda c: c.trial.num_bytes)
        return max(fits, key=lambda c: c.trial.num_bytes)

    def _last(self, max_drop: float) -> Candidate | None:
        """Try the largest that is allowed, where all that was tried lost too much."""
        if all(c.trial.size < self.most for c in self.candidates):
            self.make(self.most)
        return self.best(max_drop)

    @property
    def most(self) -> float:
        """Bytes of the kernels of the largest choice that is allowed."""
        limit = self._aim
        if limit is None:
            return self.workshop.most
        return min(self.workshop.most, max(limit - self._rest, self.workshop.least))

    @property
    def _aim(self) -> float | None:
        """Bytes that a file may have before it is trained; None where nothing limits them."""
        limit = self._goal.max_bytes
        return None if limit is None else (1.0 - self._room) * limit

    @property
    def unit(self) -> str:
        """What drops are counted in: points of a share, percent of another metric."""
        return "points" if self.workshop.judge.file.before.deciding.is_share else "%"

    def is_within(self, candidate: Candidate) -> bool:
        """Say whether a file keeps the budget for bytes."""
        limit = self._goal.max_bytes
        return limit is None or candidate.trial.num_bytes <= limit

    def tell(self, trial: Trial) -> None:
        """Show what came of a candidate."""
        counted = " deflated" if self.workshop.offer.deflated else ""
        change = f"{'gains' if trial.drop < 0 else 'loses'} {abs(trial.drop):.2f}"
        self._say(
            f"{trial.label}: {trial.num_bytes:,} bytes{counted}, {change} {self.unit} "
            f"({trial.seconds:.0f} s)"
        )


def _rounded_up(drop: float) -> float:
    """Give a drop that a message may ask for."""
    return max(-(-round(drop * 100, 6) // 1) / 100, 0.01)


def sentences(search: Search, winner: Candidate, goal: Goal, *, held_out: bool = True) -> list[str]:
    """Say for the report what won, and why; `held_out`: training does not see what decides."""
    trial, file = winner.trial, search.workshop.judge.file
    offer = search.workshop.offer
    counted = ", deflated" if offer.deflated else ""
    unit = search.unit
    found = [
        f"auto: the {offer.kind} file has {trial.num_bytes:,} bytes{counted} and loses "
        f"{trial.drop:.2f} {unit} of {file.before.deciding.name} on {file.num_images:,} "
        f"{'held-out ' if held_out else ''}training images ({goal.text}); "
        f"{max(len(search.candidates), 1)} sizes were tried."
    ]
    together = search.together or trial
    if search.compared:
        others = ", ".join(
            f"{way} alone {other.drop:.2f} ({other.num_bytes:,} bytes)"
            for way, other in search.compared.items()
        )
        found.append(
            f"auto: chosen together, channels, zeros and bits lose {together.drop:.2f} {unit} "
            f"with {together.num_bytes:,} bytes; of that size {others}."
        )
    if search.scales:
        counted = ", ".join(f"{factor:.3g} for {way}" for way, factor in search.scales.items())
        found.append(
            f"auto: the tables' errors were scaled by {counted}: so much more or less the outputs "
            "of a network made in that way alone erred."
        )
    if trial.label in search.compared:
        why = "is the smallest" if goal.max_drop is not None else "loses least"
        found.append(f"auto: the file with fewer {trial.label} alone {why}, and is kept.")
    return found
