import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from learners.channels.groups import prunable_groups
from learners.channels.segments import cut, merged
from learners.discrimination_aware_pruning.config import DisChnPrunedConfig
from learners.discrimination_aware_pruning.heads import with_head
from learners.discrimination_aware_pruning.losses import classifying_loss, own_loss
from learners.discrimination_aware_pruning.samples import Samples
from learners.discrimination_aware_pruning.selection import (
    JointLoss,
    SelectionOptions,
    StageSelection,
    WorkingNetwork,
)
from tests.learners.networks import images, randomised, recurrent, residual, vgg
from tests.learners.recipes import toy_helper
from utils.graph import Ref, from_keras, to_keras
from utils.graph.surgery import masked_model

BATCH = 12
HELPER = toy_helper()  # only its loss is asked for


def samples_of(inputs, labels):
    batches = tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(BATCH)
    return Samples(batches.map(lambda x, y: x), [y for _, y in batches])


def some_samples(num=36):
    return samples_of(images(num), np.random.default_rng(0).integers(0, 5, num))


def selection_in(network, loss=None, weight=1.0, num_iterations=4, samples=None):
    return StageSelection(
        network,
        lambda: WorkingNetwork(network.graph),
        samples or some_samples,
        loss or own_loss(network.graph, HELPER),
        SelectionOptions(weight=weight, num_iterations=num_iterations, lrn_rate=1e-3),
    )


def groups_of(network, **flags):
    return {g.name: g for g in prunable_groups(network.graph, DisChnPrunedConfig(**flags))}


# --- the joint loss -------------------------------------------------------------------------------


def headed(model):
    """A head on the output of the first convolution that reads channels."""
    network = WorkingNetwork(from_keras(model))
    head = with_head(network.model, network.tensors[Ref("conv2")], 3, 5, seed=0)
    randomised(head.part, seed=5)
    return network, classifying_loss(Ref("conv2"), head, HELPER), head


def test_gradients_are_those_of_the_paper_s_joint_loss():
    """Against differences of L_M + lambda L_p, computed here from the network's outputs."""
    network, loss, head = headed(vgg())
    samples, weight = some_samples(BATCH), 0.7
    (batch,) = samples.images
    (labels,) = samples.labels
    output = keras.Model(network.model.input, network.tensors[Ref("conv2")])
    before = np.array(output(batch), np.float64)
    variable = network.variable(("conv2", "kernel"))
    joint = JointLoss(
        [variable],
        lambda x: [output(x, training=False)] * 2,
        lambda x: [tf.constant(before, tf.float32)],
        iter([(batch, batch, labels)] * 2),
        loss.compute,
        weight,
    )
    kernel = np.random.default_rng(0).normal(size=variable.shape).astype(np.float32)

    def value(changed):
        variable.assign(changed)
        found = np.array(output(batch), np.float64)
        logits = np.array(head.part(found, training=False), np.float64)
        shares = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        own = -np.mean(shares[np.arange(BATCH), labels])
        return np.sum((found - before) ** 2) / (2 * found.size) + weight * own

    (gradient,) = joint.gradients([kernel])
    for seed in range(4):
        direction = np.random.default_rng(seed).normal(size=kernel.shape)
        step = 1e-2 * direction / np.linalg.norm(direction)
        difference = value(kernel + step) - value(kernel - step)
        assert 2 * np.sum(gradient * step) == pytest.approx(difference, rel=0.02, abs=1e-5)
    joint.assign([kernel])
    (error,) = joint.errors(1)
    wanted = np.sum((np.array(output(batch)) - before) ** 2) / np.sum(before**2)
    assert error == pytest.approx(wanted, rel=1e-4)


def test_a_weight_of_zero_is_reconstruction_alone():
    network, _, _ = headed(vgg())

    def never(*_):
        raise AssertionError("the stage's loss was computed")

    joint = JointLoss(
        [network.variable(("conv2", "kernel"))],
        lambda x: [x],
        lambda x: [x],
        iter([(tf.ones((2, 3)),) * 3]),
        never,
        0.0,
    )
    assert joint.errors(1) == [0.0]


# --- the paper's claim in a network ---------------------------------------------------------------


def planted():
    """Channels 0 and 1 are loud and say nothing; 2 and 3 are quiet and give a bit of the class."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, 240)
    signs = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])  # of each class
    x = rng.normal(size=(240, 2, 2, 6)) * [2.0, 1.8, 0.3, 0.3, 0.2, 0.2]
    x[..., 2:4] += 0.5 * signs[labels][:, None, None]
    inputs = keras.Input((2, 2, 6))
    maps = layers.Conv2D(6, 1, use_bias=False, name="first")(inputs)
    read = layers.Conv2D(4, 1, use_bias=False, name="second")(maps)
    pooled = layers.GlobalAveragePooling2D()(read)
    model = keras.Model(inputs, layers.Dense(4, name="last")(pooled))
    model.get_layer("first").kernel.assign(np.eye(6)[None, None])
    kernel = np.eye(6, 4)
    kernel[4:] = 0.1
    model.get_layer("second").kernel.assign(kernel[None, None])
    readout = np.zeros((4, 4))
    readout[2:] = 20.0 * signs.T
    model.get_layer("last").kernel.assign(readout)
    return WorkingNetwork(from_keras(model)), samples_of(x.astype(np.float32), labels)


@pytest.mark.parametrize(("weight", "kept"), [(0.0, [0, 1]), (1.0, [2, 3])])
def test_the_loss_keeps_what_gives_the_class(weight, kept):
    network, samples = planted()
    selection = selection_in(network, weight=weight, num_iterations=8, samples=lambda: samples)
    choice = selection.choose(groups_of(network)["first"], 2)
    np.testing.assert_array_equal(np.flatnonzero(choice.mask), kept)


# --- the walk through a stage ---------------------------------------------------------------------


def chosen(network, groups, selection):
    """Choose half of the channels of some groups, in order."""
    masks = {}
    for group in groups:
        choice = selection.choose(group, group.size // 2)
        selection.put(group, choice)
        masks[group.name] = choice.mask
    return masks


@pytest.mark.parametrize(
    ("make", "flags"),
    [(vgg, {}), (residual, {}), (residual, {"residual": "joint"}), (recurrent, {})],
    ids=["plain", "inner", "joint", "recurrent"],
)
def test_zeroed_masked_and_cut_compute_the_same(make, flags):
    network = WorkingNetwork(from_keras(make()))
    groups = list(groups_of(network, **flags).values())
    order = [node.name for node in network.graph.nodes]
    groups.sort(key=lambda g: min(order.index(r.node) for r in (*g.readers, *g.loops)))
    masks = chosen(network, groups, selection_in(network))
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {
        group.name: group.size // 2 for group in groups
    }
    graph = network.current_graph()
    small = to_keras(cut(graph, groups, masks))
    x = images(10, seed=3)
    zeroed = network.model(x, training=False)
    scale = np.abs(zeroed).max()
    masked = masked_model(graph, merged(graph, masks))(x, training=False)
    assert np.abs(zeroed - masked).max() <= 1e-5 * scale
    assert np.abs(zeroed - small(x, training=False)).max() <= 1e-5 * scale
    assert small.count_params() < network.model.count_params()


def test_readers_of_a_stream_choose_together():
    network = WorkingNetwork(from_keras(residual()))
    group = groups_of(network, residual="joint")["stem"]
    choice = selection_in(network).choose(group, 3)
    assert {layer for layer, _ in choice.kernels} == {"a1", "b1", "short"}
    assert choice.errors.keys() == {"a1", "b1", "short"}
    for kernel in choice.kernels.values():
        assert not kernel[:, :, ~choice.mask].any()
        assert np.abs(kernel[:, :, choice.mask]).sum(axis=(0, 1, 3)).min() > 0


def test_targets_are_those_of_the_stage_s_start():
    network = WorkingNetwork(from_keras(vgg()))
    groups = groups_of(network)
    selection = selection_in(network)
    selection.put(groups["conv1"], selection.choose(groups["conv1"], 1))
    second = selection.choose(groups["conv2"], groups["conv2"].size - 1)
    whole = WorkingNetwork(from_keras(vgg()))
    alone = selection_in(whole).choose(groups["conv2"], groups["conv2"].size - 1)
    assert second.errors["conv3"] > 2 * alone.errors["conv3"]  # its inputs have lost seven of eight


def test_choices_taken_from_before_a_kill_lead_to_the_same_bits():
    def walk(known):
        network = WorkingNetwork(from_keras(residual()))
        selection = selection_in(network)
        made = {}
        for name, group in groups_of(network).items():
            choice = known.get(name) or selection.choose(group, 4)
            selection.put(group, choice)
            made[name] = choice
        return network.model.get_weights(), made

    weights, made = walk({})
    first = next(iter(made))
    again, _ = walk({first: made[first]})
    for one, other in zip(weights, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_nothing_is_sampled_or_built_where_nothing_is_chosen():
    network = WorkingNetwork(from_keras(vgg()))
    groups = groups_of(network)
    choice = selection_in(network).choose(groups["conv1"], 4)

    def never():
        raise AssertionError("needless")

    build = functools.partial(StageSelection, network, never, never)
    options = SelectionOptions(weight=1.0, num_iterations=1, lrn_rate=1e-3)
    build(own_loss(network.graph, HELPER), options).put(groups["conv1"], choice)
    kernel = np.array(network.variable(("conv2", "kernel")))
    np.testing.assert_array_equal(kernel, choice.kernels["conv2", "kernel"])
