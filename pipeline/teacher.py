"""The teacher of a run that comes from a file: loaded once, compared with the network once."""

from collections.abc import Sequence

import keras

from pipeline.plan import Plan
from utils.errors import InputError
from utils.files import load_keras_model
from utils.graph.keras_reading import functional_model


def load_teacher(plan: Plan, model: keras.Model) -> keras.Model | None:
    """Load the network at --save_path_dst.

    Args:
        plan: the run's plan.
        model: the network to start from.

    Returns:
        The teacher; None where there is no distillation, or the network before compression teaches.

    Raises:
        InputError: if it is for other images or gives other outputs.
    """
    if plan.teacher_path is None:
        return None
    teacher = load_keras_model(plan.teacher_path, allow_unsafe=plan.run.allow_unsafe)
    for side, theirs, ours in zip(("input", "output"), _sizes(teacher), _sizes(model), strict=True):
        if len(theirs) != len(ours) or not all(map(_fits, theirs, ours)):
            raise InputError(
                f"`save_path_dst`: the teacher {str(plan.teacher_path)!r} has {side} shapes "
                f"{theirs}, the network {ours}. Give a teacher for the same images and classes."
            )
    return teacher


def _sizes(network: keras.Model) -> list[list[tuple[int | None, ...]]]:
    """Shapes of the inputs and of the outputs, without the batch."""
    functional = functional_model(network)
    sides = keras.tree.flatten(functional.input), keras.tree.flatten(functional.output)
    return [[tuple(tensor.shape[1:]) for tensor in side] for side in sides]


def _fits(theirs: Sequence[int | None], ours: Sequence[int | None]) -> bool:
    """Compare shapes; an open size fits any."""
    return len(theirs) == len(ours) and all(
        a == b or a is None or b is None for a, b in zip(theirs, ours, strict=True)
    )
