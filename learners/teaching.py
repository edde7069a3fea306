"""What the network of a stage learns from its teachers: terms of the loss, and what they cost."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import keras

from learners.context import StageContext
from utils.graph import complexity, from_keras, to_keras
from utils.graph.keras_reading import functional_model
from utils.traced import traced
from utils.training import LossComposer, Term, common_maps, distillation, hint
from utils.training.inner import layer_calls
from utils.training.regressors import FeaturePair, feature_pairs, layer_names, with_regressors

_NO_HINTS = (
    "--loss_w_hint had no effect: network and teacher have no feature map of the same shape behind "
    "the same layers."
)
_TIMED_BATCHES = 10
_LONGEST = 2.0  # seconds that these may take together


@dataclasses.dataclass
class _Spent:
    """What was spent on the fits that a teacher took part in."""

    teacher_seconds: float = 0.0
    seconds: float = 0.0
    flops: int = 0  # of the student, of the last fit


class Teaching:
    """The teachers of a stage.

    Args:
        context: the stage's.

    Attributes:
        teacher: the first, whose layers features are taken from; None without distillation.
        remarks: sentences about what had no effect.
    """

    def __init__(self, context: StageContext) -> None:
        self.teacher = context.teacher
        self.remarks: list[str] = []
        self._context = context
        self._flags = context.run.distillation
        self._pairs: tuple[FeaturePair, ...] = ()
        self._spent = _Spent()
        self._per_batch: float | None = None  # seconds

    def loss(
        self, calc_loss: Any, model: keras.Model, saved: keras.Model | None, weight: float
    ) -> LossComposer:
        """Compose the helper's loss, distillation and hints.

        Args:
            calc_loss: the helper's.
            model: the network that will be trained.
            saved: the plain network, where that is another.
            weight: of the divergence, see `distillation_loss`.

        Returns:
            The loss.
        """
        plain = saved or model
        hints = self._named(plain) if self._flags.dst_layers else self._common(plain)
        if saved is not None:  # a wrapper may have taken a layer's place
            there = [node.operation.name for node in layer_calls(functional_model(model))]
            hints = [pair for pair in hints if there.count(pair.layer) == 1]
        terms: list[Term] = []
        if self.teacher is not None:
            shares = self._flags.shares(1 + len(self._context.further_teachers))
            to_logits = self._context.helper.logits
            terms.append(distillation(weight, self._context.temperature, to_logits, shares))
        if hints:
            names = [pair.compared for pair in hints], [pair.teacher_layer for pair in hints]
            terms.append(hint(self._flags.loss_w_hint, *names))
        return LossComposer(
            calc_loss,
            terms,
            teacher=self.teacher,
            further_teachers=self._context.further_teachers,
        )

    def with_regressors(self, model: keras.Model, loss: LossComposer) -> keras.Model:
        """Give the model that trains: with the regressors that a loss needs as further outputs."""
        return with_regressors(model, self._pairs, loss.needs, seed=self._context.run.seed)

    def _named(self, model: keras.Model) -> list[FeaturePair]:
        """Look up the layers of --dst_layers."""
        if self.teacher is None:
            return []
        pairs = self._flags.layer_pairs()
        self.teacher = with_named_layers(self.teacher, [name for _, name in pairs])
        self._pairs = feature_pairs(model, self.teacher, pairs)
        return list(self._pairs)

    def _common(self, model: keras.Model) -> list[FeaturePair]:
        """Find the layers that can be compared; a remark where there are none."""
        if self.teacher is None or not self._flags.loss_w_hint:
            return []
        found = common_maps(model, self.teacher)
        if not found:  # a compressed network is flat, its teacher may be nested
            self.teacher = _flat(self.teacher)
            found = common_maps(model, self.teacher)
        if not found and _NO_HINTS not in self.remarks:
            self.remarks.append(_NO_HINTS)
        return [FeaturePair(name, name) for name in found]

    def spent(self, model: keras.Model, inputs: Any, *, num_steps: int, seconds: float) -> None:
        """Note what a fit took: the teachers are timed on a batch of it.

        Args:
            model: the plain network.
            inputs: of a training batch.
            num_steps: of the fit.
            seconds: of the fit.
        """
        if self._per_batch is None:
            self._per_batch = self._seconds_per_batch(inputs)
        self._spent.teacher_seconds += num_steps * self._per_batch
        self._spent.seconds += seconds
        self._spent.flops = _flops([model])

    def notes(self) -> list[str]:
        """Say at which temperature was distilled, and what the teachers cost; empty without any."""
        if self.teacher is None or not self._spent.seconds:
            return []
        teachers, spent = self._teachers(), self._spent
        flops = _flops(teachers)
        times = f", {flops / spent.flops:.1f} times the network's" if spent.flops else ""
        teacher_seconds = min(spent.teacher_seconds, spent.seconds)
        share = teacher_seconds / spent.seconds
        words = "The teacher takes" if len(teachers) == 1 else f"The {len(teachers)} teachers take"
        return [
            f"Distillation at temperature {self._context.temperature:g}, {self._why()}.",
            f"{words} {flops:,} multiply-adds a sample{times}, and took about {100 * share:.0f} % "
            f"of the time of training ({teacher_seconds:.1f} of {spent.seconds:.1f} s).",
        ]

    def _why(self) -> str:
        if self._flags.tempr_dst is not None:
            return "as given by --tempr_dst"
        own = self._context.stage.config.own_teacher()
        if own is not None:
            return f"as given by {own.source}"
        bits = self._context.student_bits
        return f"the usual one for weights of {bits} bits (--tempr_dst)"

    def _teachers(self) -> list[keras.Model]:
        first = [] if self.teacher is None else [self.teacher]
        return [*first, *self._context.further_teachers]

    def _seconds_per_batch(self, inputs: Any) -> float:
        teachers = self._teachers()

        @traced
        def outputs(batch: Any) -> Any:
            return [teacher(batch, training=False) for teacher in teachers]

        outputs(inputs)  # traced
        seconds: list[float] = []
        while len(seconds) < _TIMED_BATCHES and sum(seconds) < _LONGEST:
            start = time.perf_counter()
            for array in keras.tree.flatten(outputs(inputs)):
                keras.ops.convert_to_numpy(array)
            seconds.append(time.perf_counter() - start)
        return min(seconds)  # what else the machine does is no cost of theirs


def with_named_layers(teacher: keras.Model, names: Sequence[str]) -> keras.Model:
    """Give the teacher, or the same network without nested models where that has the layers."""
    if set(names) <= layer_names(teacher):
        return teacher
    flat = _flat(teacher)
    return flat if set(names) <= layer_names(flat) else teacher


def _flat(teacher: keras.Model) -> keras.Model:
    return to_keras(from_keras(teacher, allow_unsafe=True))


def _flops(networks: Sequence[keras.Model]) -> int:
    """Count the multiply-adds of networks together."""
    graphs = [from_keras(network, allow_unsafe=True) for network in networks]
    return sum(complexity(graph).flops for graph in graphs)
