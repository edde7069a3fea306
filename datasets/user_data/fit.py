"""Whether samples have the shape that a network takes."""

from __future__ import annotations

import math

from utils.errors import InputError


def fitting_shape(
    given: tuple[int, ...] | None, wanted: tuple[int, ...], name: str
) -> tuple[int, ...]:
    """Check the shape of samples against the network's.

    Axes of size 1 may be added or left out, images flattened and flat rows made images: values keep
    their order.

    Args:
        given: shape of one sample; None for images that are decoded to the network's size.
        wanted: shape of one input of the network.
        name: of the data, for messages.

    Returns:
        `wanted`.

    Raises:
        InputError: if the samples do not fit.

    Example:
        >>> fitting_shape((28, 28), (28, 28, 1), "data")
        (28, 28, 1)
    """
    if given is None:
        if len(wanted) != 3 or wanted[-1] not in (1, 3, 4):
            raise InputError(
                f"{name}: holds images; the network takes inputs of shape {wanted}. Give a network "
                "for images (height, width, channels), or other data."
            )
        return wanted
    plain = [tuple(size for size in shape if size != 1) for shape in (given, wanted)]
    flat = len(plain[0]) <= 1 or len(plain[1]) <= 1
    if plain[0] == plain[1] or (flat and math.prod(given) == math.prod(wanted)):
        return wanted
    if len(given) == 3 and (*given[1:], given[0]) == wanted:
        raise InputError(
            f"{name}: has inputs of shape {given}, the network takes {wanted}: the channels come "
            "first in the data. Move them to the end: numpy.moveaxis(x, 1, -1)."
        )
    if len(given) == 1:
        raise InputError(
            f"{name}: has {given[0]} features; the network takes {math.prod(wanted)} "
            f"(shape {wanted}). Give the columns that it was trained on."
        )
    raise InputError(
        f"{name}: has inputs of shape {given}; the network takes {wanted}. Resize or reshape them."
    )
