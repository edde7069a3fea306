"""Terms of a training loss on top of the helper's: distillation, hints, and those of a learner."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

DOCUMENTED_TEMPERATURE = 4.0
"""`--loss_w_dst` weighs the divergence at this temperature without the paper's factor T^2, as the
documented framework did: w there is w / 16 of `distillation_loss`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TermInputs:
    """A training batch and what network and teacher make of it, in one pass of each.

    Attributes:
        inputs: what the network was given.
        labels: of the batch.
        outputs: the network's own outputs, in training mode.
        tensors: outputs of the layers that the term needs, by layer name, in the same pass.
        teacher_outputs: the teacher's, in inference mode; None where no term needs the teacher.
        teacher_tensors: outputs of the teacher's layers that the term needs, by layer name.
        further_teacher_outputs: those of the teachers beside it, in order.
    """

    inputs: Any
    labels: Any
    outputs: Any
    tensors: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    teacher_outputs: Any = None
    teacher_tensors: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    further_teacher_outputs: Sequence[Any] = ()


@dataclasses.dataclass(frozen=True)
class Term:
    """A summand of the loss: `weight * compute(inputs)`.

    Attributes:
        name: of the metric that shows it, without the weight.
        weight: at least 0; a Keras variable where it changes during training.
        needs: layers of the network whose outputs it is given, also of an auxiliary head that
            the trained model has beside the network that is saved.
        compute: gives a scalar, with a gradient to what it takes from the network.
        teacher_needs: layers of the teacher whose outputs it is given; () for the teacher's
            outputs alone, None for a term that needs no teacher.

    Raises:
        ValueError: if the weight is negative.
    """

    name: str
    weight: float | keras.Variable
    needs: Sequence[str]
    compute: Callable[[TermInputs], Any]
    teacher_needs: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.weight, (int, float)) and self.weight < 0:
            raise ValueError(
                f"the weight of the loss term {self.name!r} must be at least 0. "
                f"Received: {self.weight}."
            )


def distillation(
    weight: float = 4.0 / DOCUMENTED_TEMPERATURE**2,
    temperature: float = 4.0,
    to_logits: Callable[[Any], Any] = lambda outputs: outputs,
    shares: Sequence[float] = (1.0,),
) -> Term:
    """Make the term that compares a network's outputs with its teacher's.

    Args:
        weight: of the term; without it what the documented flags' weight 4 at temperature 4 is.
        temperature: see `distillation_loss`.
        to_logits: turns outputs into logits, for networks that end in softmax.
        shares: of the teachers in their mean, see `ensemble_logits`.

    Returns:
        The term `distillation`.

    Raises:
        ValueError: if the weight is negative or the temperature not positive.
    """
    if temperature <= 0:
        raise ValueError(f"`temperature` must be larger than 0. Received: {temperature}.")

    def compute(batch: TermInputs) -> tf.Tensor:
        teachers = (batch.teacher_outputs, *batch.further_teacher_outputs)
        wanted = ensemble_logits(list(map(to_logits, teachers)), temperature, shares)
        return distillation_loss(wanted, to_logits(batch.outputs), temperature)

    return Term("distillation", weight, (), compute, teacher_needs=())


def hint(weight: float, layers: Sequence[str], teacher_layers: Sequence[str] | None = None) -> Term:
    """Make the term that compares feature maps of a network with its teacher's.

    Args:
        weight: of the term.
        layers: names of layers of the network, see `common_maps`.
        teacher_layers: of the teacher, one for each; None for the same names.

    Returns:
        The term `hint`.

    Raises:
        ValueError: if the weight is negative.
    """
    theirs = tuple(layers if teacher_layers is None else teacher_layers)

    def compute(batch: TermInputs) -> tf.Tensor:
        return hint_loss(
            [batch.teacher_tensors[name] for name in theirs],
            [batch.tensors[name] for name in layers],
        )

    return Term("hint", weight, tuple(layers), compute, teacher_needs=theirs)


def ensemble_logits(
    teachers_logits: Sequence[Any], temperature: float, shares: Sequence[float]
) -> Any:
    """Give the logits of a teacher that is the mean of several.

    It is the arithmetic mean of their probabilities at the temperature that they are compared at.
    Against it the divergence has the same gradient as the mean of the divergences from each
    teacher, so that the student is pulled to all of them; and a class that one teacher rules out
    is not ruled out, as it would be in the geometric mean, which the mean of the logits is.

    Args:
        teachers_logits: of each teacher, [batch, ..., classes] or a structure of them.
        temperature: T > 0.
        shares: of each teacher, positive, 1 together.

    Returns:
        z in the same structure, with softmax(z / T) = sum_k share_k softmax(z_k / T).

    Reference:
        Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015,
        arXiv:1503.02531, section 1: soft targets of an ensemble.
    """
    if len(teachers_logits) == 1:
        return teachers_logits[0]

    def mean(*logits: Any) -> Any:
        parts = [
            keras.ops.log_softmax(keras.ops.cast(z, "float32") / temperature) + math.log(share)
            for z, share in zip(logits, shares, strict=True)
        ]
        return temperature * keras.ops.logsumexp(keras.ops.stack(parts), axis=0)

    flat = [keras.tree.flatten(logits) for logits in teachers_logits]
    means = [mean(*logits) for logits in zip(*flat, strict=True)]
    return keras.tree.pack_sequence_as(teachers_logits[0], means)


def distillation_loss(teacher_outputs: Any, outputs: Any, temperature: float) -> tf.Tensor:
    """Compute T^2 KL(softmax(teacher / T) || softmax(student / T)).

    The factor T^2 keeps the gradient as large as it is at T = 1, so that a weight means the same at
    every temperature.

    Args:
        teacher_outputs: logits [batch, classes], or a structure of them.
        outputs: the same of the network.
        temperature: T > 0.

    Returns:
        Scalar: mean over the batch and over further axes but the last, summed over the outputs. The
        teacher gets no gradient.

    Reference:
        Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015,
        arXiv:1503.02531, section 2.
    """
    pairs = zip(keras.tree.flatten(teacher_outputs), keras.tree.flatten(outputs), strict=True)
    return tf.add_n([_divergence(*pair, float(temperature)) for pair in pairs])


def _divergence(teacher_logits: Any, logits: Any, temperature: float) -> tf.Tensor:
    """Compare two distributions from their logits.

    Keras' `LogitsDistillation` takes logarithms of probabilities that it clips at 1e-7: a student
    that is far off, the one that needs it most, would get no gradient.
    """
    softened = tf.stop_gradient(tf.cast(teacher_logits, tf.float32)) / temperature
    wanted = tf.nn.softmax(softened)
    given = tf.nn.log_softmax(tf.cast(logits, tf.float32) / temperature)
    difference = tf.reduce_sum(wanted * (tf.nn.log_softmax(softened) - given), axis=-1)
    return temperature**2 * tf.reduce_mean(difference)


def hint_loss(teacher_maps: Sequence[Any], maps: Sequence[Any]) -> tf.Tensor:
    """Compute the sum over feature maps of ||student - teacher||^2 / ||teacher||^2.

    Departs from the paper: several maps instead of one; relative to the teacher's energy, so that
    one weight fits all maps; all along, instead of a stage of its own before distillation.

    Args:
        teacher_maps: maps [batch, height, width, channels], or features of another rank.
        maps: the same of the network.

    Returns:
        Scalar, norms over the whole batch. The teacher gets no gradient.

    Reference:
        Romero et al., "FitNets: Hints for Thin Deep Nets", 2015, arXiv:1412.6550, equation 3.
    """
    errors = []
    for wanted, received in zip(teacher_maps, maps, strict=True):
        # In float32: networks of mixed precision have maps of 16 bits, whose sums overflow.
        target = tf.stop_gradient(tf.cast(wanted, tf.float32))
        error = tf.nn.l2_loss(tf.cast(received, tf.float32) - target)
        errors.append(tf.math.divide_no_nan(error, tf.nn.l2_loss(target)))
    return tf.add_n(errors)
