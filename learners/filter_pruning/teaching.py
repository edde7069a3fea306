"""The document's own distillation: its teacher and its loss."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from learners.filter_pruning.recipe import Distill
from utils.files import load_keras_model
from utils.graph import copy_network
from utils.training import LossComposer, distillation
from utils.training.logits import teacher_like
from utils.training.loss import CalcLoss


def load_teacher(distill: Distill, model: keras.Model, *, allow_unsafe: bool) -> keras.Model:
    """Give the teacher.

    Args:
        distill: names its file, or none.
        model: the network before pruning, which teaches where no file is named.
        allow_unsafe: the networks may hold Python code.

    Returns:
        A network of its own, with the same kind of outputs as `model`.

    Raises:
        InputError: if the file holds no such network.
    """
    if distill.teacher_path is None:
        return copy_network(model, allow_unsafe=allow_unsafe)
    return teacher_like(load_keras_model(distill.teacher_path, allow_unsafe=allow_unsafe), model)


def distilling_loss(
    distill: Distill,
    calc_loss: CalcLoss,
    teacher: keras.Model,
    to_logits: Callable[[Any], Any],
) -> LossComposer:
    """Compose (1 - alpha) * loss + alpha * T^2 * KL(teacher / T || network / T).

    Args:
        distill: alpha and T.
        calc_loss: the helper's loss.
        teacher: the teacher.
        to_logits: turns outputs into logits.

    Returns:
        The loss for `fit`.

    Reference:
        Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015,
        arXiv:1503.02531.
    """
    alpha, temperature = distill.alpha, distill.temperature

    def own_loss(labels: Any, outputs: Any, variables: Sequence[Any]) -> Any:
        loss, metrics = calc_loss(labels, outputs, variables)
        return (1.0 - alpha) * loss, metrics

    term = distillation(alpha, temperature, to_logits)
    return LossComposer(own_loss, [term], teacher=teacher)
