import math

import numpy as np
import pytest

from rl_agents.ddpg.networks import LAYER_NORM_EPSILON, Network, sigmoid

ACTOR = Network(input_dim=5, width=6, depth=2)
CRITIC = Network(input_dim=5, width=6, depth=3, joined_dim=1)


def random_case(network: Network, seed: int = 0, batch: int = 7):
    generator = np.random.default_rng(seed)
    flat = generator.normal(size=network.size).astype(np.float32)
    inputs = generator.normal(size=(batch, network.input_dim)).astype(np.float32)
    joined = None
    if network.joined_dim:
        joined = generator.normal(size=(batch, network.joined_dim)).astype(np.float32)
    return network.parameters(flat), inputs, joined


def tensorflow_outputs(tf, network, parameters, inputs, joined):
    """The same network in TensorFlow; returns its variables (in flat order) and outputs."""
    variables, x = [], inputs
    for index, block in enumerate(parameters.blocks):
        kernel, bias, gain, offset = (tf.Variable(view) for view in block)
        variables += [kernel, bias, gain, offset]
        z = x @ kernel + bias
        mean, variance = tf.nn.moments(z, [1], keepdims=True)
        z = tf.nn.batch_normalization(z, mean, variance, offset, gain, LAYER_NORM_EPSILON)
        x = tf.nn.relu(z)
        if index == 0 and joined is not None:
            x = tf.concat([x, joined], axis=1)
    kernel, bias = tf.Variable(parameters.out_kernel), tf.Variable(parameters.out_bias)
    return [*variables, kernel, bias], tf.linalg.matvec(x, kernel) + bias


@pytest.mark.parametrize("network", [ACTOR, CRITIC, Network(3, 4, 1), Network(3, 4, 1, 2)])
def test_forward_and_backward_agree_with_tensorflow(network):
    tf = pytest.importorskip("tensorflow")
    parameters, inputs, joined = random_case(network)
    weights = np.linspace(-1.0, 2.0, len(inputs)).astype(np.float32)
    joined_variable = None if joined is None else tf.Variable(joined)
    with tf.GradientTape() as tape:
        variables, expected = tensorflow_outputs(tf, network, parameters, inputs, joined_variable)
        loss = tf.reduce_sum(expected * weights)
    sources = variables if joined is None else [*variables, joined_variable]
    expected_gradients = [np.array(g) for g in tape.gradient(loss, sources)]

    outputs, cache = network.forward(parameters, inputs, joined)
    gradient = network.parameters()
    joined_gradient = network.backward(parameters, cache, weights, into=gradient)

    np.testing.assert_allclose(outputs, expected.numpy(), rtol=1e-4, atol=1e-5)
    if joined is not None:
        np.testing.assert_allclose(joined_gradient, expected_gradients.pop(), rtol=1e-3, atol=1e-4)
    flat = np.concatenate([g.ravel() for g in expected_gradients])
    np.testing.assert_allclose(gradient.flat, flat, rtol=1e-3, atol=1e-4)


def test_backward_without_parameter_gradients_gives_the_same_joined_gradient():
    parameters, inputs, joined = random_case(CRITIC)
    _, cache = CRITIC.forward(parameters, inputs, joined)
    ascent = np.ones(len(inputs), np.float32)
    with_them = CRITIC.backward(parameters, cache, ascent, into=CRITIC.parameters())
    np.testing.assert_array_equal(CRITIC.backward(parameters, cache, ascent), with_them)


def test_sizes_by_hand():
    # blocks (5 + 3) * 6 and (6 + 3) * 6, output 6 + 1; the critic's action joins block 1
    assert ACTOR.size == 48 + 54 + 7
    assert CRITIC.size == 48 + (7 + 3) * 6 + 54 + 7


def test_parameters_share_the_flat_memory_in_order():
    flat = np.arange(ACTOR.size, dtype=np.float32)
    parameters = ACTOR.parameters(flat)
    np.testing.assert_array_equal(parameters.blocks[0].kernel.ravel(), np.arange(30))
    np.testing.assert_array_equal(parameters.blocks[0].offset, np.arange(42, 48))
    assert parameters.out_bias[0] == ACTOR.size - 1
    parameters.out_bias[0] = -1.0
    assert flat[-1] == -1.0


def test_initial_parameters_stay_within_their_limits():
    parameters = CRITIC.initial_parameters(np.random.default_rng(0))
    for block in parameters.blocks:
        assert np.abs(block.kernel).max() <= 1.0 / math.sqrt(block.kernel.shape[0])
        assert np.abs(block.kernel).max() > 0.5 / math.sqrt(block.kernel.shape[0])
        np.testing.assert_array_equal(block.gain, np.ones(6))
        np.testing.assert_array_equal(block.bias, np.zeros(6))
        np.testing.assert_array_equal(block.offset, np.zeros(6))
    assert 0.0 < np.abs(parameters.out_kernel).max() <= 3e-3


def test_noise_leaves_layer_normalisation_alone():
    mask = ACTOR.parameters(ACTOR.perturbable)
    for block in mask.blocks:
        assert block.kernel.all()
        assert block.bias.all()
        assert not block.gain.any()
        assert not block.offset.any()
    assert mask.out_kernel.all()
    assert mask.out_bias.all()


def test_sigmoid_at_known_points():
    np.testing.assert_allclose(
        sigmoid(np.array([0.0, math.log(3.0), -800.0, 800.0])), [0.5, 0.75, 0.0, 1.0], atol=1e-12
    )
