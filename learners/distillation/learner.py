"""The learner `distillation`: trains a student from one or several teachers.

The recipe, after Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015,
arXiv:1503.02531, and, for features, Romero et al., "FitNets: Hints for Thin Deep Nets", 2015,
arXiv:1412.6550:

    loss = (1 - alpha) L_labels + alpha T^2 KL(teacher || student) + w_hint L_features + decay

on the helper's own schedule, from fresh weights or those of `--pretrained_path`. The teachers'
probabilities are averaged at the temperature T (`utils.training.terms.ensemble_logits`); features
at `--dst_layers` are compared through regressors where widths differ
(`utils.training.regressors`).

Departs from the paper: features are compared all along, not in a stage before the outputs are.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from learners.base import AbstractLearner, Trained
from learners.config import DistillationConfig
from utils.training import LossComposer
from utils.training.loss import CalcLoss

_NO_WEIGHT = "--loss_w_dst had no effect on distillation: --dst_alpha is the teachers' share there."


class DistillationLearner(AbstractLearner):
    """Train a student on what its teachers say."""

    def train(self) -> Trained:
        """Train the network in place and return it."""
        if self.context.run.enbl_warm_start:
            self.helper.warm_start(self.model)
        if self.context.run.distillation.loss_w_dst != DistillationConfig().loss_w_dst:
            self.notes.append(_NO_WEIGHT)
        self.train_from_scratch(self.model)
        return Trained(self.model)

    @property
    def distillation_weight(self) -> float:
        """The teachers' share."""
        return self.config.alpha

    def default_loss(self, model: keras.Model, saved: keras.Model | None = None) -> LossComposer:
        """Leave the labels what the teachers do not have."""
        loss = super().default_loss(model, saved)
        return LossComposer(
            labels_at(1.0 - self.config.alpha, loss.calc_loss),
            loss.terms,
            teacher=loss.teacher,
            further_teachers=loss.further_teachers,
        )


def labels_at(share: float, calc_loss: CalcLoss) -> CalcLoss:
    """Weigh what a loss takes from the labels; what it takes from the weights stays as it is.

    The two are told apart by a second call for a variable that is zero, whose decay is.

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
    nothing = [keras.Variable([0.0], name="nothing", trainable=False)]

    def weighed(labels: Any, outputs: Any, variables: Sequence[Any]) -> tuple[Any, Mapping]:
        loss, metrics = calc_loss(labels, outputs, variables)
        alone, _ = calc_loss(labels, outputs, nothing)
        return loss - (1.0 - share) * alone, metrics

    return weighed
