"""The one place where a training loss is put together: the helper's loss and terms on top."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from utils.training.inner import with_layers
from utils.training.terms import Term, TermInputs

CalcLoss = Callable[[Any, Any, Sequence[Any]], tuple[Any, Mapping[str, Any]]]
"""`calc_loss(labels, outputs, trainable_vars)` → (scalar loss, scalar metrics by name)."""


class LossComposer:
    """Helper's loss + the weighted terms. Validation uses the helper's alone.

    Args:
        calc_loss: `calc_loss(labels, outputs, trainable_vars)` → (loss, metrics).
        terms: summands on top, of different names.
        teacher: model that terms may compare with; it sees the same batch, in inference mode.
        further_teachers: those that teach beside it, by their outputs alone.

    Attributes:
        needs: layers of the network whose outputs the terms are given.

    Raises:
        ValueError: if two terms have one name, or a term needs a teacher and there is none, or
            needs a layer that the teacher has not.
    """

    def __init__(
        self,
        calc_loss: CalcLoss,
        terms: Sequence[Term] = (),
        *,
        teacher: keras.Model | None = None,
        further_teachers: Sequence[keras.Model] = (),
    ) -> None:
        self.calc_loss = calc_loss
        self.terms = tuple(terms)
        self.teacher = teacher
        self.further_teachers = tuple(further_teachers)
        names = [term.name for term in self.terms]
        if len(set(names)) < len(names):
            raise ValueError(f"loss terms must have different names. Received: {names}.")
        self.needs = _union(term.needs for term in self.terms)
        self._taught = [term for term in self.terms if term.teacher_needs is not None]
        if self._taught and teacher is None:
            raise ValueError(
                f"the loss term {self._taught[0].name!r} needs a teacher. Received: teacher=None."
            )
        self._teacher_needs = _union(term.teacher_needs or () for term in self._taught)
        self._teacher = (
            with_layers(teacher, self._teacher_needs) if self._teacher_needs else teacher
        )

    @property
    def uses_teacher(self) -> bool:
        """Whether the teacher runs in every step."""
        return bool(self._taught)

    def plus(self, *terms: Term) -> LossComposer:
        """Make a loss with further terms."""
        return LossComposer(
            self.calc_loss,
            (*self.terms, *terms),
            teacher=self.teacher,
            further_teachers=self.further_teachers,
        )

    def with_labels_at(self, share: float) -> LossComposer:
        """Make a loss that weighs what comes from the labels; weight decay and terms stay whole."""
        return LossComposer(
            labels_at(share, self.calc_loss),
            self.terms,
            teacher=self.teacher,
            further_teachers=self.further_teachers,
        )

    def training_loss(
        self,
        inputs: Any,
        labels: Any,
        outputs: Any,
        trainable_vars: Sequence[Any],
        tensors: Sequence[Any] = (),
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Compute the loss of a training batch.

        Args:
            inputs: what the network was given.
            labels: of the batch.
            outputs: of the network, in training mode.
            trainable_vars: variables for the helper's weight decay.
            tensors: outputs of the layers `needs`, in the same pass.

        Returns:
            Scalar loss and scalar metrics by name, those of the terms without their weights.
        """
        loss, metrics = self.calc_loss(labels, outputs, trainable_vars)
        if not self.terms:
            return loss, dict(metrics)
        batch = TermInputs(
            inputs=inputs,
            labels=labels,
            outputs=outputs,
            tensors=dict(zip(self.needs, tensors, strict=True)),
            **self._taught_facts(inputs),
        )
        loss, values = tf.convert_to_tensor(loss), {}
        for term in self.terms:
            values[term.name] = term.compute(batch)
            loss += tf.cast(term.weight * values[term.name], loss.dtype)
        return loss, {**metrics, **values}

    def _taught_facts(self, inputs: Any) -> dict[str, Any]:
        """Run the teachers, each once for all terms."""
        if self._teacher is None or not self._taught:
            return {}
        others = [teacher(inputs, training=False) for teacher in self.further_teachers]
        facts: dict[str, Any] = {"further_teacher_outputs": tuple(others)}
        if not self._teacher_needs:
            return {"teacher_outputs": self._teacher(inputs, training=False), **facts}
        outputs, tensors = self._teacher(inputs, training=False)
        by_name = dict(zip(self._teacher_needs, tensors, strict=True))
        return {"teacher_outputs": outputs, "teacher_tensors": by_name, **facts}


def without_decay(calc_loss: CalcLoss) -> CalcLoss:
    """Leave out what a loss takes from the weights: it is asked for a variable that is zero.

    Args:
        calc_loss: `calc_loss(labels, outputs, trainable_vars)` → (loss, metrics).

    Returns:
        A function like it, whatever variables it is given.
    """
    nothing = [keras.Variable([0.0], name="nothing", trainable=False)]

    def alone(labels: Any, outputs: Any, variables: Sequence[Any]) -> tuple[Any, Mapping[str, Any]]:
        return calc_loss(labels, outputs, nothing)

    return alone


def labels_at(share: float, calc_loss: CalcLoss) -> CalcLoss:
    """Weigh what a loss takes from the labels; what it takes from the weights stays as it is.

    Args:
        share: weight of the labels.
        calc_loss: `calc_loss(labels, outputs, trainable_vars)` → (loss, metrics).

    Returns:
        A function like it: `loss - (1 - share) * loss without decay`.

    Example:
        >>> def loss(labels, outputs, variables):
        ...     return labels + sum(float(v.numpy().sum()) for v in variables), {}
        >>> labels_at(0.25, loss)(8.0, None, [keras.Variable([3.0])])[0]
        5.0
    """
    of_labels = without_decay(calc_loss)

    def weighed(
        labels: Any, outputs: Any, variables: Sequence[Any]
    ) -> tuple[Any, Mapping[str, Any]]:
        loss, metrics = calc_loss(labels, outputs, variables)
        alone, _ = of_labels(labels, outputs, variables)
        return loss - (1.0 - share) * alone, metrics

    return weighed


def _union(groups: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))
