"""Choosing the channels of a stage: the joint loss on the part of the network that it depends on.

For one choice the network is computed from the last single tensor in front of the layers that read
the channels, whose values are kept for all images (`learners/reconstruction/frontier.py`), to what
the stage's loss is taken from; nothing before it, nothing behind it. Batch norms and Dropout are in
inference mode.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from learners.channels.axes import read_axes
from learners.discrimination_aware_pruning.greedy import ReadKernel, Selected, select_channels
from learners.discrimination_aware_pruning.iterations import greedy_plan
from learners.discrimination_aware_pruning.losses import StageLoss
from learners.discrimination_aware_pruning.samples import Samples
from learners.discrimination_aware_pruning.stages import first_place
from learners.reconstruction.frontier import Frontier
from utils.graph import ChannelGroup, Graph, Ref, to_keras_with_tensors
from utils.traced import traced

_NUM_ERROR_BATCHES = 4  # that the error in the report is averaged over

Key = tuple[str, str]
"""A layer and one of its weights."""


class WorkingNetwork:
    """The network that channels are chosen in; nothing changes its shape.

    Args:
        graph: its structure, and the weights that it begins with.

    Attributes:
        graph: likewise.
        model: the Keras model, whose weights change.
        tensors: its KerasTensors by reference.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.model, self.tensors = to_keras_with_tensors(graph)

    def variable(self, key: Key) -> Any:
        """Look a weight up."""
        layer, name = key  # by place: layers inside a layer repeat each other's weight names
        return self.model.get_layer(layer).weights[list(self.graph.params[layer]).index(name)]

    def read_kernels(self, group: ChannelGroup) -> dict[Key, ReadKernel]:
        """Give the kernels that read a group as they are now; that of a shared layer once."""
        return {
            (layer, name): ReadKernel(np.array(self.variable((layer, name))), axis, channels)
            for layer, name, axis, channels in read_axes(self.graph, group)
        }

    def current_graph(self) -> Graph:
        """Give the graph with the weights as they are now."""
        params = {
            layer: {name: np.array(self.variable((layer, name))) for name in arrays}
            for layer, arrays in self.graph.params.items()
        }
        return self.graph.replace(params=params)


@dataclasses.dataclass(frozen=True, eq=False)
class Choice:
    """What came of a choice.

    Attributes:
        mask: bool [channels], True = keep.
        kernels: the tuned kernels of the layers that read the channels.
        errors: layer -> relative squared error of its output, on some of the images.
    """

    mask: np.ndarray
    kernels: Mapping[Key, np.ndarray]
    errors: Mapping[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectionOptions:
    """How channels are chosen and kernels tuned.

    Attributes:
        weight: lambda, of the stage's loss beside the reconstruction error.
        num_iterations: for each layer.
        lrn_rate: of Adam.
    """

    weight: float
    num_iterations: int
    lrn_rate: float


class StageSelection:
    """Chooses group after group, in the order of the network.

    Departs from the paper: the feature maps that the layers should go on giving (O^b) are those of
    the network as the stage's fine-tuning left it, not of the one before pruning, whose maps are no
    longer what later layers expect.

    Args:
        network: the network at work. A choice changes its kernels.
        before: gives a network of the same graph, which becomes the one that is compared with;
            called at the first choice.
        samples: gives the images, likewise.
        loss: of the stage.
        options: how.
    """

    def __init__(
        self,
        network: WorkingNetwork,
        before: Callable[[], WorkingNetwork],
        samples: Callable[[], Samples],
        loss: StageLoss,
        options: SelectionOptions,
    ) -> None:
        self._network = network
        self._make_before = before
        self._make_samples = samples
        self._loss = loss
        self._options = options
        self._start = network.model.get_weights()
        self._passed: list[ChannelGroup] = []  # that the frontiers have not moved over yet

    def choose(self, group: ChannelGroup, num_keep: int) -> Choice:
        """Choose the channels that stay, for all layers that read them together."""
        readers = list(dict.fromkeys(reader.node for reader in group.readers))
        now, before = self._frontiers
        for earlier in (*self._passed, group):
            # One after another, also after a kill: what is added in one go may differ in a bit.
            for frontier in (now, before):
                frontier.advance(self._first_reader(earlier))
        self._passed.clear()
        kernels = self._network.read_kernels(group)
        joint = JointLoss(
            [self._network.variable(key) for key in kernels],
            now.submodel([*map(Ref, readers), *self._loss.refs]),
            before.submodel([*map(Ref, readers)]),
            self._endless(),
            self._loss.compute,
            self._options.weight,
        )
        plan = greedy_plan(num_keep, self._options.num_iterations)
        found: Selected = select_channels(
            list(kernels.values()), group.size, joint.gradients, plan, self._options.lrn_rate
        )
        joint.assign(found.kernels)
        layers = [self._network.graph.node(node).layer for node in readers]
        errors = dict(zip(layers, joint.errors(_NUM_ERROR_BATCHES), strict=True))
        return Choice(found.mask, dict(zip(kernels, found.kernels, strict=True)), errors)

    def put(self, group: ChannelGroup, choice: Choice) -> None:
        """Give the network the kernels of a choice, made here or before a kill, and pass on."""
        for key, values in choice.kernels.items():
            self._network.variable(key).assign(values)
        self._passed.append(group)

    @functools.cached_property
    def _samples(self) -> Samples:
        return self._make_samples()

    @functools.cached_property
    def _frontiers(self) -> tuple[Frontier, Frontier]:
        """Where passes through both networks begin."""
        before = self._make_before()
        before.model.set_weights(self._start)
        given = self._samples
        now, then = (
            Frontier(net.graph, net.model, net.tensors, given.images, given.num_images)
            for net in (self._network, before)
        )
        return now, then

    def _first_reader(self, group: ChannelGroup) -> str:
        graph = self._network.graph
        return graph.nodes[first_place(graph, group)].name

    def _endless(self) -> Iterator[tuple[Any, Any, Any]]:
        while True:
            yield from zip(*self._frontiers, self._samples.labels, strict=True)


class JointLoss:
    """L(W) = L_M(W) + lambda L_S^p(W) on batch after batch.

    L_M = ||O - O^b||^2 / (2 Q), Q the number of values of O; of several layers, the sum. O is what
    a layer gives, behind its activation where it has one inside.

    Args:
        variables: the kernels W.
        outputs: inputs -> the outputs O of the layers, then what the stage's loss is taken from.
        targets: inputs of the network before -> the outputs O^b that the layers should go on
            giving.
        batches: of inputs, of inputs of the network before, of labels; without end.
        discrimination: L_S^p, see `StageLoss`.
        weight: lambda.
    """

    def __init__(
        self,
        variables: Sequence[Any],
        outputs: Callable[..., list[Any]],
        targets: Callable[..., list[Any]],
        batches: Iterator[tuple[Any, Any, Any]],
        discrimination: Callable[[Any, Sequence[Any], Sequence[Any]], Any],
        weight: float,
    ) -> None:
        self._variables = list(variables)
        self._batches = batches

        @traced
        def evaluate(images: Any, images_before: Any, labels: Any) -> tuple[list[Any], list[Any]]:
            wanted = [tf.stop_gradient(target) for target in targets(images_before)]
            watched = [variable.value for variable in variables]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(watched)
                values = outputs(images)
                pairs = list(zip(values[: len(wanted)], wanted, strict=True))
                loss = tf.add_n([_reconstruction(*pair) for pair in pairs])
                if weight:
                    own = discrimination(labels, values[len(wanted) :], variables)
                    loss += weight * tf.cast(own, loss.dtype)
            zero = tf.UnconnectedGradients.ZERO
            gradients = tape.gradient(loss, watched, unconnected_gradients=zero)
            return gradients, [_relative_error(*pair) for pair in pairs]

        self._evaluate = evaluate

    def assign(self, kernels: Sequence[np.ndarray]) -> None:
        """Give the kernels some values."""
        for variable, values in zip(self._variables, kernels, strict=True):
            variable.assign(values)

    def gradients(self, kernels: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Compute the gradients with respect to the kernels on the next batch."""
        self.assign(kernels)
        return [gradient.numpy() for gradient in self._evaluate(*next(self._batches))[0]]

    def errors(self, num_batches: int) -> list[float]:
        """Average the relative errors of the layers' outputs over the next batches."""
        found = [
            self._evaluate(*batch)[1] for batch in itertools.islice(self._batches, num_batches)
        ]
        return [float(np.mean(values)) for values in zip(*found, strict=True)]


def _reconstruction(output: Any, wanted: Any) -> Any:
    difference = tf.cast(output, tf.float32) - tf.cast(wanted, tf.float32)
    return 0.5 * tf.reduce_mean(tf.square(difference))


def _relative_error(output: Any, wanted: Any) -> Any:
    target = tf.cast(wanted, tf.float32)
    error = tf.reduce_sum(tf.square(tf.cast(output, tf.float32) - target))
    return tf.math.divide_no_nan(error, tf.reduce_sum(tf.square(target)))
