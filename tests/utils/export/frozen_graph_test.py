"""`.pb` files run as the networks that they were made of."""

import keras
import numpy as np
import pytest

from utils.errors import InputError
from utils.export.frozen_graph import FrozenRunner, frozen_graph


def test_inputs_and_outputs_keep_their_order() -> None:
    keras.utils.set_random_seed(0)
    inputs = [keras.Input((3,), name=name) for name in ("z", "a")]
    total = keras.layers.Subtract()([keras.layers.Dense(3)(inputs[0]), inputs[1]])
    model = keras.Model(inputs, {"y": total, "b": keras.layers.Dense(2)(total)})
    values = [np.random.default_rng(seed).normal(size=(5, 3)).astype("float32") for seed in (0, 1)]
    runner = FrozenRunner(frozen_graph(model))
    wanted = keras.tree.flatten(model(values))
    for given in (values, {"z": values[0], "a": values[1]}):
        for found, expected in zip(runner(given), wanted, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-6)


def test_other_files_are_refused() -> None:
    with pytest.raises(InputError, match="cannot be read"):
        FrozenRunner(b"no graph")


def test_loops_leave_no_inputs_behind() -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5, 4), name="steps")
    model = keras.Model(inputs, keras.layers.LSTM(3)(inputs))
    values = np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")
    found = FrozenRunner(frozen_graph(model))(values)
    np.testing.assert_allclose(found, model(values), atol=1e-6)
