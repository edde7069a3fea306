"""Which filters go: one table of criteria, every one a function with the same signature.

    scores = score(group, generator)

gives each channel of a coupled group a score; those with the smallest scores go. All layers that
make the channels speak together: of a residual stream every layer that writes it, of a depthwise
convolution also the layer in front of it.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from learners.channels.criteria import Criterion, backward_scores
from learners.filters.carriers import FILTER, SCALE, Carrier, Value
from utils.errors import InputError
from utils.graph import ChannelGroup


@dataclasses.dataclass(frozen=True, eq=False)
class Filters:
    """The slices of one weight that make a group's channels.

    Attributes:
        channels: int [n], the group's channel of each slice, -1 for none of them.
        weights: float [n, d].
        products: float [B, n], gradient times weight summed over each slice, for each of B batches;
            None where no criterion asks for it.
    """

    channels: np.ndarray
    weights: np.ndarray
    products: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class GroupFilters:
    """All that makes the channels of a coupled group.

    Attributes:
        name: of the group, for messages.
        size: number of channels C.
        filters: of each kernel.
        scales: of each batch norm on the way, [n, 1].
    """

    name: str
    size: int
    filters: tuple[Filters, ...]
    scales: tuple[Filters, ...] = ()


Score = Callable[[GroupFilters, np.random.Generator], np.ndarray]


@dataclasses.dataclass(frozen=True)
class FilterCriterion:
    """A row of the table.

    Attributes:
        score: gives float64 [C]; None where the choice is made on the walk.
        gradients: whether the filters need `products`.
        scales: whether the group needs `scales`.
        walk: scores channels by what the layers that read them lose, layer after layer; these are
            then refitted by least squares. See `learners/channels/selection.py`.
    """

    score: Score | None
    gradients: bool = False
    scales: bool = False
    walk: Criterion | None = None


def l1_norm(group: GroupFilters, generator: np.random.Generator) -> np.ndarray:
    """Sum the absolute weights of each channel's filters.

    Example:
        >>> filters = Filters(np.array([0, 1]), np.array([[1.0, -2.0], [0.5, 0.0]]))
        >>> l1_norm(GroupFilters("conv", 2, (filters,)), np.random.default_rng(0))
        array([3. , 0.5])

    Reference:
        Li et al., "Pruning Filters for Efficient ConvNets", 2017, arXiv:1608.08710, section 3.1.
        Departs from the paper: where a shortcut has filters of its own, both branches' filters
        count; there the shortcut's alone decide (section 3.3).
    """
    return _summed(group.size, group.filters, lambda rows: np.abs(rows).sum(axis=1))


def l2_norm(group: GroupFilters, generator: np.random.Generator) -> np.ndarray:
    """Take the Euclidean norm of all filters of each channel together.

    Example:
        >>> filters = Filters(np.array([0, 1]), np.array([[3.0, -4.0], [0.5, 0.0]]))
        >>> l2_norm(GroupFilters("conv", 2, (filters,)), np.random.default_rng(0))
        array([5. , 0.5])
    """
    return np.sqrt(_summed(group.size, group.filters, lambda rows: np.square(rows).sum(axis=1)))


def bn_gamma(group: GroupFilters, generator: np.random.Generator) -> np.ndarray:
    """Sum the absolute scales that batch norms put on each channel.

    Departs from the paper: no L1 penalty on the scales while training; they are taken as they are.

    Raises:
        InputError: if there is no batch norm with a scale on the way.

    Reference:
        Liu et al., "Learning Efficient Convolutional Networks through Network Slimming", 2017,
        arXiv:1708.06519, section 3.
    """
    require_scales(group.name, len(group.scales))
    return _summed(group.size, group.scales, lambda rows: np.abs(rows).sum(axis=1))


def require_scales(name: str, num_scales: int) -> None:
    """Refuse a group without a batch norm for a criterion that looks at their scales.

    Raises:
        InputError: if `num_scales` is 0.
    """
    if not num_scales:
        raise InputError(
            f"the criterion bn_gamma looks at the scales of batch norms, and behind {name!r} "
            "there is none. Choose another criterion, such as l1_norm, or prune other layers."
        )


def geometric_median(group: GroupFilters, generator: np.random.Generator) -> np.ndarray:
    """Sum the distances of each filter to all others of its layer; the most replaceable go.

    A filter near the geometric median of its layer has the smallest sum.

    Example:
        >>> filters = Filters(np.array([0, 1, 2]), np.array([[0.0], [1.0], [5.0]]))
        >>> geometric_median(GroupFilters("conv", 3, (filters,)), np.random.default_rng(0))
        array([6., 5., 9.])

    Reference:
        He et al., "Filter Pruning via Geometric Median for Deep Convolutional Neural Networks
        Acceleration", 2019, arXiv:1811.00250.
    """
    return _summed(group.size, group.filters, lambda rows: _distances(rows).sum(axis=1))


def taylor(group: GroupFilters, generator: np.random.Generator) -> np.ndarray:
    """Estimate by how much the squared loss changes without each channel, to first order.

    The mean over batches of (sum of gradient times weight over all filters of the channel)^2: the
    joint contribution, equation 8 of the paper.

    Example:
        >>> filters = Filters(np.arange(2), np.ones((2, 1)), np.array([[1.0, 2.0], [-3.0, 0.0]]))
        >>> taylor(GroupFilters("conv", 2, (filters,)), np.random.default_rng(0))
        array([5., 2.])

    Raises:
        ValueError: if the filters have no `products`.

    Reference:
        Molchanov et al., "Importance Estimation for Neural Network Pruning", 2019,
        arXiv:1906.10771.
    """
    joint = np.zeros(group.size)
    for part in group.filters:
        if part.products is None:
            raise ValueError(f"taylor needs the `products` of {group.name!r}. Received: None.")
        own = part.channels >= 0
        batches = [
            _per_channel(values[own], part.channels[own], group.size)
            for values in np.asarray(part.products, dtype=np.float64)
        ]
        joint = joint + np.stack(batches)
    return np.mean(np.square(joint), axis=0)


def random_scores(group: GroupFilters, generator: np.random.Generator) -> np.ndarray:
    """Draw scores: the control that a criterion must beat."""
    return generator.random(group.size)


CRITERIA: Mapping[str, FilterCriterion] = {
    "l1_norm": FilterCriterion(l1_norm),
    "l2_norm": FilterCriterion(l2_norm),
    "bn_gamma": FilterCriterion(bn_gamma, scales=True),
    "geometric_median": FilterCriterion(geometric_median),
    "taylor": FilterCriterion(taylor, gradients=True),
    "obs": FilterCriterion(None, walk=backward_scores),
    "random": FilterCriterion(random_scores),
}


def group_filters(
    group: ChannelGroup,
    parts: Sequence[Carrier],
    value: Value,
    products: Mapping[tuple[str, str], np.ndarray] | None = None,
) -> GroupFilters:
    """Collect what the criteria look at.

    Args:
        group: the group.
        parts: its carriers.
        value: gives the weights.
        products: (layer, weight) -> float [B, n], see `Filters`.

    Returns:
        Filters and scales.
    """

    def of(part: Carrier) -> Filters:
        rows = part.rows(np.asarray(value(part.layer, part.weight), dtype=np.float64))
        found = None if products is None else products.get((part.layer, part.weight))
        return Filters(part.channels, rows, found)

    return GroupFilters(
        group.name,
        group.size,
        tuple(of(part) for part in parts if part.kind == FILTER),
        tuple(of(part) for part in parts if part.kind == SCALE),
    )


def _per_channel(values: np.ndarray, channels: np.ndarray, size: int) -> np.ndarray:
    """Sum values [n] up to channels, float64 [size]."""
    sums = np.zeros(size)
    np.add.at(sums, channels, values)
    return sums


def _summed(
    size: int, parts: Sequence[Filters], worth: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Sum what each slice is worth over all parts, float64 [size].

    `worth` is given the slices [n, d] that belong to the group, no others.
    """
    total = np.zeros(size)
    for part in parts:
        own = part.channels >= 0
        total += _per_channel(worth(part.weights[own]), part.channels[own], size)
    return total


def _distances(rows: np.ndarray) -> np.ndarray:
    """Euclidean distances between all rows, [n, n]."""
    squares = np.square(rows).sum(axis=1)
    between = squares[:, None] + squares - 2.0 * rows @ rows.T
    np.fill_diagonal(between, 0.0)
    return np.sqrt(np.maximum(between, 0.0))  # rounding may leave less than nothing
