"""The one place where a training loss is put together: helper's loss, distillation, hints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from utils.training.hints import with_maps

CalcLoss = Callable[[Any, Any, Sequence[Any]], tuple[Any, Mapping[str, Any]]]
"""`calc_loss(labels, outputs, trainable_vars)` → (scalar loss, scalar metrics by name)."""


class LossComposer:
    """Helper's loss + loss_w_dst * distillation loss + loss_w_hint * hint loss.

    The distillation loss is KL(softmax(teacher / T) || softmax(student / T)), mean over the batch,
    summed over the outputs. The hint loss is ||student - teacher||^2 / ||teacher||^2 over the batch
    of a feature map, summed over the maps. The teacher sees the same batch, in inference mode,
    without gradient.

    Departs from the paper (Hinton): without its factor T^2. The documented weight 4 and temperature
    4 are meant so; with the factor they would be 16 times stronger and break a pruned network at
    any usual learning rate.

    Departs from the paper (FitNets): several maps instead of one; maps of equal shape, so that no
    regressor is needed; relative to the teacher's energy, so that one weight fits all maps; all
    along, instead of a stage of its own before distillation.

    Args:
        calc_loss: `calc_loss(labels, outputs, trainable_vars)` → (loss, metrics).
        teacher: model with the outputs of the trained one (logits), or None: no distillation.
        loss_w_dst: weight of the distillation loss.
        tempr_dst: temperature T, > 0.
        to_logits: turns outputs into logits, for networks that end in softmax.
        loss_w_hint: weight of the hint loss.
        hints: layers of network and teacher whose outputs it compares; see `common_maps`.

    Raises:
        ValueError: if a weight is negative or the temperature not positive.

    References:
        Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015,
        arXiv:1503.02531.
        Romero et al., "FitNets: Hints for Thin Deep Nets", 2015, arXiv:1412.6550, equation 3.
    """

    def __init__(
        self,
        calc_loss: CalcLoss,
        *,
        teacher: keras.Model | None = None,
        loss_w_dst: float = 4.0,
        tempr_dst: float = 4.0,
        to_logits: Callable[[Any], Any] = lambda outputs: outputs,
        loss_w_hint: float = 0.0,
        hints: Sequence[str] = (),
    ) -> None:
        for name, weight in {"loss_w_dst": loss_w_dst, "loss_w_hint": loss_w_hint}.items():
            if weight < 0:
                raise ValueError(f"`{name}` must be at least 0. Received: {weight}.")
        if tempr_dst <= 0:
            raise ValueError(f"`tempr_dst` must be larger than 0. Received: {tempr_dst}.")
        self.calc_loss = calc_loss
        self.teacher = teacher
        self.loss_w_dst = loss_w_dst
        self.tempr_dst = float(tempr_dst)
        self._to_logits = to_logits
        self.loss_w_hint = loss_w_hint
        self.hints = tuple(hints) if teacher is not None and loss_w_hint else ()
        self._teacher_maps = with_maps(teacher, self.hints) if self.hints else None

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the metrics that come on top of the helper's."""
        if self.teacher is None:
            return ()
        return ("distillation", "hint") if self.hints else ("distillation",)

    def training_loss(
        self,
        inputs: Any,
        labels: Any,
        outputs: Any,
        trainable_vars: Sequence[Any],
        maps: Sequence[Any] = (),
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Compute the loss of a training batch.

        Args:
            inputs: what the network was given.
            labels: of the batch.
            outputs: of the network, in training mode.
            trainable_vars: variables for the helper's weight decay.
            maps: outputs of the layers `hints`, in the same pass.

        Returns:
            Scalar loss and scalar metrics by name, with those of `terms`.
        """
        loss, metrics = self.calc_loss(labels, outputs, trainable_vars)
        if self.teacher is None:
            return loss, dict(metrics)
        if self._teacher_maps is None:
            wanted = self.teacher(inputs, training=False)
        else:
            wanted, wanted_maps = self._teacher_maps(inputs, training=False)
        distilled = self.distillation_loss(self._to_logits(wanted), self._to_logits(outputs))
        loss, terms = loss + self.loss_w_dst * distilled, {"distillation": distilled}
        if self._teacher_maps is not None:
            terms["hint"] = self.hint_loss(wanted_maps, maps)
            loss += tf.cast(self.loss_w_hint * terms["hint"], loss.dtype)
        return loss, {**metrics, **terms}

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

    def hint_loss(self, teacher_maps: Sequence[Any], maps: Sequence[Any]) -> tf.Tensor:
        """Compare a network's feature maps with its teacher's.

        Args:
            teacher_maps: maps [batch, height, width, channels].
            maps: the same of the network.

        Returns:
            Scalar, without the factor `loss_w_hint`.
        """
        errors = []
        for wanted, received in zip(teacher_maps, maps, strict=True):
            # In float32: networks of mixed precision have maps of 16 bits, whose sums overflow.
            target = tf.stop_gradient(tf.cast(wanted, tf.float32))
            error = tf.nn.l2_loss(tf.cast(received, tf.float32) - target)
            errors.append(tf.math.divide_no_nan(error, tf.nn.l2_loss(target)))
        return tf.add_n(errors)
