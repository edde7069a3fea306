import numpy as np
import pytest

from rl_agents.ddpg.adam import Adam


def test_first_step_is_the_learning_rate_against_the_sign():
    parameters = np.array([1.0, 1.0, 1.0], np.float32)
    Adam(3, 0.1).step(parameters, np.array([5.0, -0.01, 0.0], np.float32))
    np.testing.assert_allclose(parameters, [0.9, 1.1, 1.0], rtol=1e-3)


def test_agrees_with_keras():
    keras = pytest.importorskip("keras")
    generator = np.random.default_rng(0)
    start = generator.normal(size=6).astype(np.float32)
    variable, optimizer = keras.Variable(start), keras.optimizers.Adam(0.01)
    adam, parameters = Adam(6, 0.01), start.copy()
    for _ in range(5):
        gradient = generator.normal(size=6).astype(np.float32)
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        adam.step(parameters, gradient)
    np.testing.assert_allclose(parameters, np.array(variable), rtol=1e-5, atol=1e-7)


def test_restored_optimizer_takes_the_same_step():
    adam, restored = Adam(2, 0.1), Adam(2, 0.1)
    parameters = np.ones(2, np.float32)
    adam.step(parameters, np.array([1.0, -2.0], np.float32))
    restored.load_state_dict(adam.state_dict())
    results = []
    for each in (adam, restored):
        copy = parameters.copy()
        each.step(copy, np.array([0.5, 0.5], np.float32))
        results.append(copy)
    np.testing.assert_array_equal(results[0], results[1])
