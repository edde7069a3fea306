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

import keras

from learners.base import AbstractLearner, Trained
from learners.config import DistillationConfig
from utils.training import LossComposer

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
        return super().default_loss(model, saved).with_labels_at(1.0 - self.config.alpha)
