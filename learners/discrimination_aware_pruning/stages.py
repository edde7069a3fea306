"""Where a network is cut into stages, and which channels are chosen in which of them."""

import bisect
import dataclasses
import itertools
from collections.abc import Sequence

from learners.reconstruction.frontier import waists
from utils.errors import InputError
from utils.graph import ChannelGroup, Graph, Ref
from utils.graph.channels import coupling


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of the network.

    Attributes:
        groups: the channels that are chosen in it, in the order of the network.
        end: the tensor that the additional loss is taken from; None in the last stage, which has
            the network's own.
    """

    groups: tuple[ChannelGroup, ...]
    end: Ref | None


def cut_into_stages(
    graph: Graph, groups: Sequence[ChannelGroup], num_ends: int, *, flag: str
) -> list[Stage]:
    """Cut a network into stages with about equally many layers to prune.

    A stage ends where the network is a single tensor: in a plain network at the output of a
    convolution, in a residual one at the sum that ends a block.

    Args:
        graph: the network.
        groups: what is up for pruning.
        num_ends: additional losses; there is one stage more.
        flag: that says so, for the message.

    Returns:
        The stages in order; each has at least one group.

    Raises:
        InputError: if there are not as many places: stages would overlap.
    """
    ordered = sorted(groups, key=lambda group: first_place(graph, group))
    ends = possible_ends(graph, ordered)
    if num_ends > len(ends):
        raise InputError(
            f"`{flag}`: {num_ends} additional losses would make stages overlap: {graph.name} has "
            f"{len(ends)} places for one, where it is a single tensor between layers that are "
            f"pruned. Received: {num_ends}. Give --{flag}={len(ends)} or less."
        )
    bounds = [0, *spread(sorted(ends), len(ordered), num_ends), len(ordered)]
    return [
        Stage(tuple(ordered[first:last]), ends.get(last))
        for first, last in itertools.pairwise(bounds)
    ]


def first_place(graph: Graph, group: ChannelGroup) -> int:
    """Give the place, among the network's nodes, of the first layer that reads a group.

    A recurrent layer reads its own units.
    """
    readers = {reader.node for reader in (*group.readers, *group.loops)}
    return next(i for i, node in enumerate(graph.nodes) if node.name in readers)


def possible_ends(graph: Graph, groups: Sequence[ChannelGroup]) -> dict[int, Ref]:
    """Find the tensors that a stage can end with.

    Args:
        graph: the network.
        groups: what is up for pruning.

    Returns:
        Number of groups whose first reader stands before the tensor -> the tensor, the first where
        several have the same number. Behind each of them there is a group, and before it.
    """
    places = {node.name: index for index, node in enumerate(graph.nodes)}
    starts = sorted(first_place(graph, group) for group in groups)
    found: dict[int, Ref] = {}
    for ref in dict.fromkeys(waists(graph).values()):
        number = bisect.bisect_right(starts, places[ref.node])
        if 0 < number < len(starts) and number not in found and channel_axis(graph, ref):
            found[number] = ref
    return found


def channel_axis(graph: Graph, ref: Ref) -> int:
    """Give the axis of a tensor's channels; 0 if it has none of known size, or is no float."""
    shape, label = graph.shape(ref), coupling(graph).labels.get(ref)
    axis = len(shape) - 1 if label is None else label.axis
    usable = axis > 0 and shape[axis] is not None and "float" in graph.dtype(ref)
    return axis if usable else 0


def spread(possible: Sequence[int], total: int, number: int) -> list[int]:
    """Choose places that divide a length as evenly as they can.

    Args:
        possible: places, ascending, in (0, total).
        total: the length.
        number: how many to choose, at most as many as there are.

    Returns:
        Ascending: for each part's even end the nearest place that is free, the lower of two.

    Example:
        >>> spread([1, 2, 3, 4, 5, 6, 7], 8, 3), spread([1, 2, 7], 8, 2), spread([6, 7], 8, 2)
        ([2, 4, 6], [2, 7], [6, 7])
    """
    chosen: list[int] = []
    first = 0
    for part in range(1, number + 1):
        wish = part * total / (number + 1)
        last = len(possible) - (number - part)
        index = min(range(first, last), key=lambda place: abs(possible[place] - wish))
        chosen.append(possible[index])
        first = index + 1
    return chosen
