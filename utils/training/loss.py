"""The one place where a training loss is put together: the helper's loss and distillation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

CalcLoss = Callable[[Any, Any, Sequence[Any]], tuple[Any, Mapping[str, Any]]]
"""`calc_loss(labels, outputs, trainable_vars)` → (scalar loss, scalar metrics by name)."""


class LossComposer:
    """Helper's loss + loss_w_dst * distillation loss.

    The distillation loss is KL(softmax(teacher / T) || softmax(student / T)), mean over the batch,
    summed over the outputs. The teacher sees the same batch, in inference mode, without gradient.

    Departs from the paper: without its factor T^2. The documented weight 4 and temperature 4 are
    meant so; with the factor they would be 16 times stronger and break a pruned network at any
    usual learning rate.

    Args:
        calc_loss: `calc_loss(labels, outputs, trainable_vars)` → (loss, metrics).
        teacher: model with the outputs of the trained one (logits), or None: no distillation.
        loss_w_dst: weight of the distillation loss.
        tempr_dst: temperature T, > 0.
        to_logits: turns outputs into logits, for networks that end in softmax.

    Raises:
        ValueError: if the weight is negative or the temperature not positive.

    Reference:
        Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015,
        arXiv:1503.02531.
    """

    def __init__(
        self,
        calc_loss: CalcLoss,
        *,
        teacher: keras.Model | None = None,
        loss_w_dst: float = 4.0,
        tempr_dst: float = 4.0,
        to_logits: Callable[[Any], Any] = lambda outputs: outputs,
    ) -> None:
        if loss_w_dst < 0:
            raise ValueError(f"`loss_w_dst` must be at least 0. Received: {loss_w_dst}.")
        if tempr_dst <= 0:
            raise ValueError(f"`tempr_dst` must be larger than 0. Received: {tempr_dst}.")
        self.calc_loss = calc_loss
        self.teacher = teacher
        self.loss_w_dst = loss_w_dst
        self.tempr_dst = float(tempr_dst)
        self._to_logits = to_logits

    def training_loss(
        self, inputs: Any, labels: Any, outputs: Any, trainable_vars: Sequence[Any]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Compute the loss of a training batch.

        Args:
            inputs: what the network was given.
            labels: of the batch.
            outputs: of the network, in training mode.
            trainable_vars: variables for the helper's weight decay.

        Returns:
            Scalar loss and scalar metrics by name; `distillation` is among them with a teacher.
        """
        loss, metrics = self.calc_loss(labels, outputs, trainable_vars)
        if self.teacher is None:
            return loss, dict(metrics)
        wanted = self._to_logits(self.teacher(inputs, training=False))
        distilled = self.distillation_loss(wanted, self._to_logits(outputs))
        return loss + self.loss_w_dst * distilled, {**metrics, "distillation": distilled}

    def distillation_loss(self, teacher_outputs: Any, outputs: Any) -> tf.Tensor:
        """Compare a network's logits with its teacher's.

        Args:
            teacher_outputs: logits [batch, classes], or a structure of them.
            outputs: the same of the network.

        Returns:
            Scalar, without the factor `loss_w_dst`.
        """
        # Its default loss, the name "kl_divergence", skips the softmax: give the class.
        losses = keras.tree.map_structure(lambda _: keras.losses.KLDivergence(), outputs)
        divergence = keras.distillation.LogitsDistillation(self.tempr_dst, losses)
        constants = keras.tree.map_structure(keras.ops.stop_gradient, teacher_outputs)
        return divergence.compute_loss(constants, outputs) / self.tempr_dst**2  # it multiplies
