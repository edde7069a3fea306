"""Sizes that the user gives for inputs whose file leaves them open (`--input_shape`)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

from utils.errors import InputError
from utils.frontends.source import SourceInput, SourceNetwork

Shape = Sequence[int | None]
Shapes = str | Shape | Mapping[str, Shape] | None
_HINT = "Give it as `1,3,224,224`, or for several inputs `x=1,3,224,224;state=2,1,128`."


def parse_shapes(text: str) -> dict[str, tuple[int | None, ...]]:
    """Read the flag's text.

    Args:
        text: sizes separated by commas, -1 for one that stays open; with names in front and
            semicolons between for several inputs.

    Returns:
        Shapes by input name; "" for the first one.

    Raises:
        InputError: if it is something else.

    Example:
        >>> parse_shapes("1,3,-1,224")
        {'': (1, 3, None, 224)}
        >>> parse_shapes("x=-1,576;state=2,-1,128")
        {'x': (None, 576), 'state': (2, None, 128)}
    """
    found = {}
    for part in filter(None, text.split(";")):
        name, _, sizes = part.rpartition("=")
        items = re.split(r"\s*[,x]\s*", sizes.strip()) if sizes.strip() else []
        if not all(re.fullmatch(r"-1|[1-9]\d{0,8}", item) for item in items):
            raise InputError(f"`--input_shape` has sizes that are no numbers: {part!r}. {_HINT}")
        found[name.strip()] = tuple(None if item == "-1" else int(item) for item in items)
    return found


def with_shapes(network: SourceNetwork, shapes: Shapes) -> SourceNetwork:
    """Give inputs the sizes that the user says.

    Args:
        network: as read.
        shapes: the flag's text, one shape for the first input, or shapes by input name.

    Returns:
        The network with those sizes.

    Raises:
        InputError: if an input is unknown or has another number of axes or another size there.
    """
    if not shapes:
        return network
    if isinstance(shapes, str):
        by_name = dict(parse_shapes(shapes))
    elif isinstance(shapes, Mapping):
        by_name = {name: tuple(shape) for name, shape in shapes.items()}
    else:
        by_name = {"": tuple(shapes)}
    names = [source.name for source in network.inputs]
    if "" in by_name and names:
        by_name.setdefault(names[0], by_name.pop(""))
    unknown = sorted(set(by_name) - set(names))
    if unknown:
        raise InputError(
            f"`--input_shape` names {unknown[0]!r}; the inputs are: {', '.join(names)}."
        )
    inputs = tuple(_with_shape(source, by_name.get(source.name)) for source in network.inputs)
    first = inputs[0].shape if inputs else ()
    return dataclasses.replace(network, inputs=inputs, batch=first[0] if first else None)


def _with_shape(source: SourceInput, shape: Shape | None) -> SourceInput:
    if shape is None:
        return source
    fits = len(shape) == len(source.shape) and all(
        present in (None, wanted) or (axis == 0)
        for axis, (present, wanted) in enumerate(zip(source.shape, shape, strict=True))
    )
    if not fits and source.shape:
        raise InputError(
            f"`--input_shape` {tuple(shape)} does not fit the input {source.name!r} "
            f"{source.shape}, whose None are open. {_HINT}"
        )
    return dataclasses.replace(source, shape=tuple(shape))
