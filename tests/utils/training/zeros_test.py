"""Zeros stay zeros: which weights, and against a plain loop that multiplies by masks."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.utils.training.conftest import batches, calc_loss, network, optimizer
from utils.training import LossComposer, fit, read_state
from utils.training.reproducible import fixed_order
from utils.training.zeros import MaskedOptimizer, sparse_kernels


def _variable(values: Any, name: str = "kernel") -> keras.Variable:
    return keras.Variable(np.float32(values), name=name)


def _sparse(seed: int = 0) -> keras.Model:
    """The small network with a third of two kernels at zero; its biases begin at zero as well."""
    model, generator = network(seed), np.random.default_rng(7)
    for name in ("conv", "dense"):
        kernel = model.get_layer(name).kernel
        kernel.assign(kernel * (generator.random(kernel.shape) > 1 / 3))
    return model


def _zeros(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(variable) == 0 for variable in model.trainable_variables]


def test_which_weights_count() -> None:
    variables = [
        _variable([[1.0, 0.0]]),
        _variable([[1.0, 2.0]]),  # no zero
        _variable([[0.0, 0.0]]),  # how a layer may begin
        _variable([0.0, 1.0]),  # a vector
        _variable([[0.0, 1.0]], "bias"),  # of attention or a GRU
        _variable([[0.0, 1.0]], "alpha"),  # of PReLU
        _variable([[-0.0, 1.0]]),
        _variable([[1e-45, 1.0]]),  # small, not zero
        _variable(np.eye(3)[None], "embeddings"),
    ]
    assert sparse_kernels(variables) == (0, 6, 8)


def test_a_dense_network_is_trained_without_a_wrapper(make_job: Any) -> None:
    assert sparse_kernels(network().trainable_variables) == ()
    job = make_job(num_steps=2)
    fit(network(), job)
    state = read_state(job.state_path)
    assert state is not None
    assert state.masked == ()
    assert len(state.optimizer) == len(job.optimizer.variables)


_OPTIMIZERS = {
    "momentum": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "adam with decay": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "clipped": lambda: keras.optimizers.SGD(0.05, global_clipnorm=0.1),
}


@pytest.mark.parametrize("name", _OPTIMIZERS)
def test_training_is_that_of_a_plain_loop_with_masks(make_job: Any, name: str) -> None:
    ours, plain = _sparse(), _sparse()
    fit(ours, make_job(optimizer=_OPTIMIZERS[name](), num_steps=8))
    keras.utils.set_random_seed(0)
    variables, updates = plain.trainable_variables, _OPTIMIZERS[name]()
    masks = [
        tf.cast(variable.value != 0, tf.float32) if len(variable.shape) > 1 else 1.0
        for variable in variables
    ]

    @tf.function
    def step(images: Any, labels: Any) -> None:
        with tf.GradientTape() as tape:
            loss, _ = calc_loss(labels, plain(images, training=True), variables)
        gradients = tape.gradient(loss, variables)
        updates.apply([g * mask for g, mask in zip(gradients, masks, strict=True)], variables)
        for variable, mask in zip(variables, masks, strict=True):
            variable.assign(variable * mask)

    with fixed_order():
        for images, labels in batches().take(8):
            step(images, labels)
    for one, other in zip(ours.variables, plain.variables, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7, err_msg=one.path)
    before = _zeros(_sparse())
    for zeros, now in zip(before, _zeros(ours), strict=True):
        if zeros.ndim > 1:
            np.testing.assert_array_equal(zeros, now)
    assert not np.asarray(ours.get_layer("dense").bias == 0).any()


def test_momentum_from_before_a_mask_revives_nothing() -> None:
    variable = _variable([[1.0, 1.0]])
    masked = MaskedOptimizer(keras.optimizers.SGD(0.1, momentum=0.9), [0])
    gradient = keras.ops.ones((1, 2))
    masked.apply([gradient], [variable])
    assert np.all(variable.numpy() != 0)
    masked.masks[0].assign([[True, False]])  # as a recipe does that tightens its masks
    for _ in range(3):
        masked.apply([gradient], [variable])
        assert variable.numpy()[0, 1] == 0.0
    assert variable.numpy()[0, 0] != 0.0


def test_variables_without_a_gradient_and_slices() -> None:
    table, unused = _variable([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), _variable([[0.0, 1.0]])
    masked = MaskedOptimizer(keras.optimizers.SGD(0.5), [0, 1])
    with tf.GradientTape() as tape:
        rows = tf.gather(table.value, [1, 1])
        loss = tf.reduce_sum(rows)
    gradient = tape.gradient(loss, table.value)
    assert isinstance(gradient, tf.IndexedSlices)
    masked.apply([gradient, None], [table, unused])
    np.testing.assert_array_equal(table, [[0.0, 1.0], [0.0, 0.0], [1.0, 1.0]])
    np.testing.assert_array_equal(unused, [[0.0, 1.0]])


def test_masks_are_resumed_whatever_network_is_given(make_job: Any) -> None:
    whole = _sparse()
    fit(whole, make_job(num_steps=12))
    short = make_job(optimizer=optimizer(), num_steps=5, resume=False)
    fit(_sparse(), short)
    state = read_state(short.state_path)
    assert state is not None
    assert state.masked == (0, 4)
    assert sum(value.dtype == bool for value in state.optimizer) == 2
    resumed = network(1)  # dense: the masks are those of the run
    assert fit(resumed, make_job(optimizer=optimizer(), num_steps=12)).resumed_from == 5
    for one, other in zip(whole.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)


def test_a_recipe_may_let_them_grow(make_job: Any) -> None:
    model = _sparse()
    fit(model, make_job(num_steps=3, keep_zeros=False))
    assert not _zeros(model)[0].any()


def test_with_a_scaled_loss(make_job: Any) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = _sparse()
        before = _zeros(model)

        def loss(labels: Any, outputs: Any, variables: Any) -> Any:
            return calc_loss(labels, tf.cast(outputs, tf.float32), variables)

        fit(model, make_job(num_steps=4, loss=LossComposer(loss)))
        for zeros, now in zip(before, _zeros(model), strict=True):
            if zeros.ndim > 1:
                np.testing.assert_array_equal(zeros, now)
        assert not np.array_equal(
            model.get_layer("conv").kernel, _sparse().get_layer("conv").kernel
        )
    finally:
        keras.config.set_dtype_policy("float32")
