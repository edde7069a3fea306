"""Where candidates are made: tables once, then networks and their files, each checked."""

import dataclasses
import time
from collections.abc import Sequence

import keras
import numpy as np

from learners.auto.allocate import BITS, CHANNELS, WAYS, ZEROS, Allocation, Answer, Scales
from learners.auto.build import Built, build
from learners.auto.files import DecidingFile, Seen
from learners.auto.joint import Joint
from learners.auto.meter import OutputErrors
from learners.auto.offers import DENSE, Offer
from learners.auto.places import Places
from learners.auto.record import Record, Trial
from learners.auto.solving import Grids
from learners.auto.tables import Tables
from learners.budget import KINDS
from learners.channels.budget import ChannelBudget, channel_layers, count_choices
from learners.channels.cost import NetworkCost
from learners.reconstruction.sampling import Sampler
from learners.search.budget import ACCEPTED_SHARE, MeasuredCostModel
from learners.search.choices import ChoiceLayer
from utils.graph import to_keras
from utils.progress import WorkProgress

MAX_CORRECTIONS = 4  # of what other budgets are predicted to take
_BISECTIONS = 16
NUM_WIDTHS = 16  # of a group, that are told apart


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network and its file.

    Attributes:
        trial: what is known of it.
        joint: the choice.
        built: the network on its grids; None where an earlier session made it.
    """

    trial: Trial
    joint: Joint
    built: Built | None

    @property
    def network(self) -> Built:
        """The network.

        Raises:
            ValueError: where it has to be made again first.
        """
        if self.built is None:
            raise ValueError("this candidate was made in an earlier session.")
        return self.built


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judge:
    """What looks at candidates.

    Attributes:
        file: makes and checks their files.
        errors: measures what their outputs err.
        record: keeps what was found.
    """

    file: DecidingFile
    errors: OutputErrors
    record: Record


class Workshop:
    """Makes candidates; see the module.

    Args:
        places: what is up for choice.
        offer: what may be chosen.
        tables: what it costs.
        sampler: the images that closed forms are taken from.
        judge: looks at candidates.
        widths: counts of channels and what other budgets leave of them; None without such budgets.
        round_to: else counts are multiples of this.
    """

    def __init__(
        self,
        places: Places,
        offer: Offer,
        tables: Tables,
        sampler: Sampler,
        judge: Judge,
        *,
        widths: ChannelBudget | None = None,
        round_to: int = 1,
    ) -> None:
        self.places, self.offer, self.tables, self.judge = places, offer, tables, judge
        self.budget = widths
        self._sampler = sampler
        layers = list(widths.layers) if widths is not None else _layers(places, tables, round_to)
        counted = NetworkCost(places.graph, places.groups) if places.groups else None
        load = None if widths is None else widths.load
        self._allocation = Allocation(places, tables, layers, counted, load)

    @property
    def ways(self) -> tuple[str, ...]:
        """In which ways the network can be made smaller."""
        options = self.offer.options
        able = {
            CHANNELS: bool(self.tables.groups),
            ZEROS: any(option.pattern != DENSE for option in options),
            BITS: len({option.bits for option in options}) > 1,
        }
        return tuple(way for way in WAYS if able[way])

    @property
    def scales(self) -> Scales:
        """What the tables' errors count."""
        return self._allocation.scales

    @scales.setter
    def scales(self, scales: Scales) -> None:
        self._allocation.scales = scales

    def answer(self, size: float, ways: Sequence[str] = WAYS) -> Answer:
        """Find the best choice whose kernels take so many bytes, within other budgets."""
        found = self._allocation.within(size, ways=ways)
        for _ in range(MAX_CORRECTIONS):
            if self.budget is None or self._keeps(found.joint):
                break
            found = self._allocation.within(size, ways=ways)
        return found

    def answer_of_size(self, size: float, way: str) -> Answer:
        """Find the best choice whose kernels take so many bytes, in one way alone."""
        return self._allocation.within(size, ways=[way])

    def answer_of_error(self, error: float, way: str) -> Answer:
        """Find the smallest choice that is expected to err no more, in one way alone."""
        low, high = self._allocation.within(0.0, ways=[way]).bytes, self.most
        for _ in range(_BISECTIONS):
            size = float(np.sqrt(low * high))
            if self._allocation.within(size, ways=[way]).error > error:
                low = size
            else:
                high = size
        return self._allocation.within(high, ways=[way])

    @property
    def least(self) -> float:
        """Bytes of the kernels of the smallest choice."""
        return self._allocation.within(0.0).bytes

    @property
    def most(self) -> float:
        """Bytes of the kernels where every layer has all its weights and the most bits."""
        return self._allocation.within(np.inf, ways=()).bytes

    def make(self, answer: Answer, label: str, size: float) -> Candidate:
        """Make a choice's network and file, unless it was made before."""
        joint = answer.joint
        known = self.judge.record.find(label, joint.values())
        if known is not None:
            # The hunt goes on from the size that it asked for now.
            known = dataclasses.replace(known, size=float(size))
            return Candidate(trial=known, joint=joint, built=None)
        start = time.perf_counter()
        built = self.build(joint)
        model = to_keras(built.graph)
        trial = self.judged(model, answer, label, size, start)
        return Candidate(trial=trial, joint=joint, built=built)

    def judged(
        self, model: keras.Model, answer: Answer, label: str, size: float, start: float
    ) -> Trial:
        """Make a network's file, run it, keep what came of it."""
        seen: Seen = self.judge.file.see(model)
        trial = Trial(
            label=label,
            values=answer.joint.values(),
            size=float(size),
            num_bytes=seen.num_bytes,
            drop=float(self.judge.file.drop(seen.scores)),
            value=float(seen.scores.value),
            loss=float(seen.scores["loss"]),
            error=self.judge.errors(model),
            predicted=float(answer.error),
            seconds=time.perf_counter() - start,
        )
        self.judge.record.add(trial)
        return trial

    def build(self, joint: Joint) -> Built:
        """Make a choice's network."""
        keep = {
            group.name: self.tables.groups[group.name].mask(joint.widths[group.name])
            if group.name in self.tables.groups
            else np.ones(group.size, bool)
            for group in self.places.groups
        }
        with WorkProgress("making a candidate", "layers") as progress:
            return build(
                self.places,
                joint,
                keep,
                self._sampler,
                Grids(self.offer.grid),
                importance=self.tables.importance,
                on_layer=progress.update,
            )

    def expect(self, joint: Joint) -> Answer:
        """Say what the tables expect of a choice."""
        return self._allocation.answer(joint)

    def measured(self, joint: Joint) -> dict[str, float]:
        """Say what a choice takes of other budgets."""
        return {} if self.budget is None else self.budget.measured(self._values(joint))

    def remarks(self, joint: Joint) -> list[str]:
        """Say how a choice stands to other budgets where it is out of tolerance."""
        return [] if self.budget is None else self.budget.remarks(self._values(joint), floor=0.0)

    def _values(self, joint: Joint) -> np.ndarray:
        return np.array([joint.widths[group.name] for group in self.places.groups], int)

    def _keeps(self, joint: Joint) -> bool:
        """Measure what is measured; predictions are put right by it."""
        if self.budget is None or not isinstance(self.budget.cost, MeasuredCostModel):
            return True
        found = self.budget.cost.correct(self._values(joint))
        loads = [found[kind] / target for kind, target in self.budget.load.targets.items()]
        tolerance = min(KINDS[kind].tolerance for kind in self.budget.budget.kinds)
        return max(loads) <= 1.0 + ACCEPTED_SHARE * tolerance


def _step(size: int, round_to: int) -> int:
    """Say how far apart the widths are that are told apart: multiples of `round_to`.

    Example:
        >>> _step(160, 8), _step(160, 1), _step(16, 8)
        (16, 10, 8)
    """
    return -(-max(size, 1) // (NUM_WIDTHS * round_to)) * round_to


def _layers(places: Places, tables: Tables, round_to: int) -> list[ChoiceLayer]:
    """Describe the groups with the counts that are told apart."""
    choices = [
        count_choices(group.size, _step(group.size, round_to))
        if group.name in tables.groups
        else (group.size,)
        for group in places.groups
    ]
    return channel_layers(places.graph, places.groups, choices)
