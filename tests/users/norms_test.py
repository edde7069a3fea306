"""Preprocessing inside the network and bare batch norms: cut exactly."""

import keras
import numpy as np
import pytest
from keras import layers

from tests.users import own_files


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def network(**bare):
    """Half of the channels of each convolution carry nothing: a right cut takes those."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 2))
    statistics = layers.Normalization(name="statistics")
    statistics.adapt(own_files.IMAGES / 255.0)
    x = statistics(layers.Rescaling(1 / 255.0)(inputs))
    for name, filters in (("first", 8), ("second", 8)):
        x = layers.Conv2D(filters, 3, use_bias=False, name=name)(x)
        x = layers.ReLU()(layers.BatchNormalization(name=f"{name}_bn", **bare)(x))
    model = keras.Model(inputs, layers.Dense(2, name="head")(layers.GlobalAveragePooling2D()(x)))
    random = np.random.default_rng(0)
    for name in ("first", "second"):
        kernel = np.array(model.get_layer(name).kernel)
        kernel[..., ::2] = 0.0
        model.get_layer(name).kernel.assign(kernel)
        norm = model.get_layer(f"{name}_bn")
        alive = np.arange(8) % 2
        norm.moving_mean.assign(alive * random.normal(size=8))
        norm.moving_variance.assign(random.uniform(0.5, 1.5, size=8))
        if norm.scale:
            norm.gamma.assign(random.uniform(0.5, 1.5, size=8))
        if norm.center:
            norm.beta.assign(alive * random.normal(size=8))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"])
    return model


@pytest.mark.parametrize("bare", [{"scale": False}, {"center": False, "scale": False}])
def test_cut_is_exact(bare):
    model = network(**bare)
    report = own_files.compress(model, nb_epochs=0, out_dir="out", cpr_compensate=False)
    assert report.before.top1 == pytest.approx(own_files.accuracy(model))
    assert report.model.get_layer("first").filters == 4
    assert report.model.get_layer("second").filters == 4
    outputs = model.predict(own_files.IMAGES, verbose=0)
    saved = keras.saving.load_model("out/model.keras")
    error = np.abs(saved.predict(own_files.IMAGES, verbose=0) - outputs).max()
    assert error <= 1e-4 * np.abs(outputs).max()  # the kernels are fitted anew: rounding
