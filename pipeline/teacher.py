"""The teachers of a run that come from files: loaded once, compared with the network once."""

import pathlib
from collections.abc import Sequence

import keras

from learners.teaching import with_named_layers
from pipeline.plan import Plan
from utils.errors import InputError
from utils.files import load_keras_model
from utils.graph.keras_reading import functional_model
from utils.training.regressors import feature_pairs


def load_teachers(plan: Plan, model: keras.Model) -> tuple[keras.Model, ...]:
    """Load the networks at --teacher_path, the one at --save_path_dst, or a stage's own.

    Args:
        plan: the run's plan.
        model: the network to start from.

    Returns:
        The teachers; none where there is no distillation, or the network before compression
        teaches.

    Raises:
        InputError: if one is for other images or gives other outputs, or --dst_layers names a layer
            that is not there.
    """
    teachers = tuple(_loaded(plan, path, model) for path in plan.teacher_paths)
    _check_layers(plan, model, teachers)
    return teachers


def _loaded(plan: Plan, path: pathlib.Path, model: keras.Model) -> keras.Model:
    teacher = load_keras_model(path, allow_unsafe=plan.run.allow_unsafe)
    for side, theirs, ours in zip(("input", "output"), _sizes(teacher), _sizes(model), strict=True):
        if len(theirs) != len(ours) or not all(map(_fits, theirs, ours)):
            raise InputError(
                f"{plan.teacher_source}: the teacher {str(path)!r} has {side} shapes {theirs}, "
                f"the network {ours}. Give a teacher for the same images and classes."
            )
    return teacher


def _check_layers(plan: Plan, model: keras.Model, teachers: Sequence[keras.Model]) -> None:
    """Look up the layers of --dst_layers; the network before compression has those of this one."""
    pairs = plan.run.distillation.layer_pairs()
    if pairs and plan.run.distillation.enbl_dst:
        ours, theirs = ([pair[side] for pair in pairs] for side in (0, 1))
        teacher = teachers[0] if teachers else model
        feature_pairs(with_named_layers(model, ours), with_named_layers(teacher, theirs), pairs)


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
