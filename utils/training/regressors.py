"""Features of two networks at named layers, and what stands between them where widths differ.

A student whose layer is narrower (or wider) than the teacher's gets a *regressor* there: a linear
1 x 1 layer to the teacher's width. It is trained with the student as an auxiliary head of the model
that trains: its variables are saved and resumed beside the network's, and are no part of it.

Departs from the paper: one linear layer at every position, so that maps must have the same height
and width, instead of a convolution whose window makes up for a smaller map.

Reference: Romero et al., "FitNets: Hints for Thin Deep Nets", 2015, arXiv:1412.6550, section 2.2.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras

from utils.errors import InputError
from utils.flags import nearest
from utils.graph.keras_reading import functional_model
from utils.training.inner import layer_calls


@dataclasses.dataclass(frozen=True)
class FeaturePair:
    """A layer of the student whose output is to be that of a layer of the teacher.

    Attributes:
        layer: of the student.
        teacher_layer: of the teacher.
        width: channels of the teacher's where the student has another number; None where a
            regressor is not needed.
        number: of the pair.
    """

    layer: str
    teacher_layer: str
    width: int | None = None
    number: int = 0

    @property
    def compared(self) -> str:
        """Name of the layer whose output is compared: the student's own or the regressor."""
        return self.layer if self.width is None else f"dst_regressor_{self.number}_{self.layer}"


def feature_pairs(
    student: keras.Model, teacher: keras.Model, names: Iterable[tuple[str, str]]
) -> tuple[FeaturePair, ...]:
    """Look up pairs of layers and compare their shapes.

    Args:
        student: built model.
        teacher: built model.
        names: (layer of the student, layer of the teacher).

    Returns:
        A pair for each.

    Raises:
        InputError: if a layer does not exist (names the nearest one), is called several times or
            has several outputs, or the shapes differ in more than the channels.
    """
    ours, theirs = _shapes(student), _shapes(teacher)
    pairs = []
    for number, (layer, teacher_layer) in enumerate(names):
        shape = _shape_of(layer, ours, f"the network {student.name!r}")
        wanted = _shape_of(teacher_layer, theirs, f"the teacher {teacher.name!r}")
        if not _same_place(shape, wanted):
            raise InputError(
                f"`dst_layers`: {layer!r} gives features of shape {shape}, {teacher_layer!r} of "
                f"the teacher {wanted}: they may differ in their channels, which come last, and in "
                "nothing else. Name layers of the same height and width."
            )
        pairs.append(FeaturePair(layer, teacher_layer, _width(shape, wanted), number))
    return tuple(pairs)


def _same_place(shape: Sequence[int | None], wanted: Sequence[int | None]) -> bool:
    """Compare all but the channels; an open size fits any."""
    return len(shape) == len(wanted) and all(
        a == b or a is None or b is None for a, b in zip(shape[:-1], wanted[:-1], strict=True)
    )


def _width(shape: Sequence[int | None], wanted: Sequence[int | None]) -> int | None:
    return None if shape[-1] == wanted[-1] else wanted[-1]


def layer_names(network: keras.Model) -> set[str]:
    """Name the layers that features can be taken from; those of nested models are not in it."""
    return set(_shapes(network))


def _shapes(network: keras.Model) -> dict[str, tuple[int | None, ...]]:
    """Give the output shape, without the batch, of every layer that is called once."""
    calls = layer_calls(functional_model(network))
    names = [node.operation.name for node in calls]
    return {
        node.operation.name: tuple(node.output_tensors[0].shape[1:])
        for node in calls
        if names.count(node.operation.name) == 1
        and len(node.output_tensors) == 1
        and len(node.output_tensors[0].shape) > 1
    }


def _shape_of(
    name: str, shapes: Mapping[str, tuple[int | None, ...]], owner: str
) -> tuple[int | None, ...]:
    if name not in shapes:
        raise InputError(
            f"`dst_layers`: {owner} has no layer {name!r} that gives one output. "
            f"{nearest(name, shapes)}"
        )
    return shapes[name]


def with_regressors(
    model: keras.Model, pairs: Sequence[FeaturePair], needs: Iterable[str], *, seed: int
) -> keras.Model:
    """Put regressors behind a model's layers, as further outputs.

    Args:
        model: built model that has the pairs' layers.
        pairs: see `feature_pairs`.
        needs: names of layers that a loss needs: those of the regressors that are made.
        seed: of their initial weights.

    Returns:
        Model of the same layers and variables with the outputs (the model's own, flat, then the
        regressors'); the model itself where none is needed.
    """
    wanted = set(needs)
    made = [pair for pair in pairs if pair.width is not None and pair.compared in wanted]
    if not made:
        return model
    functional = functional_model(model)
    features = {node.operation.name: node.output_tensors[0] for node in layer_calls(functional)}
    outputs = [_regressor(pair, seed)(features[pair.layer]) for pair in made]
    return keras.Model(functional.input, [*keras.tree.flatten(functional.output), *outputs])


def _regressor(pair: FeaturePair, seed: int) -> Any:
    initializer = keras.initializers.GlorotUniform(  # not from the global generator: see `fit`
        (seed + zlib.crc32(pair.compared.encode())) % 2**31
    )
    return keras.layers.Dense(pair.width, kernel_initializer=initializer, name=pair.compared)
