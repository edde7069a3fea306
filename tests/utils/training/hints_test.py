"""Which feature maps two networks have in common, and the model that gives them."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from nets.resnet_at_cifar10 import ModelHelper, ResnetAtCifar10Config
from utils.graph import from_keras, shrink, to_keras
from utils.training import common_maps
from utils.training.inner import with_layers


def _chain(widths: Sequence[int], name: str = "conv") -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = inputs
    for index, width in enumerate(widths):
        x = keras.layers.ZeroPadding2D(1, name=f"pad{index}")(x)
        x = keras.layers.Conv2D(width, 3, name=f"{name}{index}")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(4, name="dense")(x))


def test_the_ends_of_the_blocks_of_a_resnet_pruned_inside() -> None:
    model = ModelHelper().build_model()
    inside = {
        f"stage{stage}_block{block}_conv1": np.arange(width) < width // 2
        for stage, width in enumerate((16, 32, 64), start=1)
        for block in range(3)
    }
    pruned = to_keras(shrink(from_keras(model), inside))
    ends = [f"stage{stage}_block{block}_add" for stage in (1, 2, 3) for block in range(3)]
    assert common_maps(pruned, model) == tuple(ends)


def test_of_each_resolution_the_last_and_no_padding() -> None:
    assert common_maps(_chain((8, 8, 8)), _chain((8, 8, 8))) == ("conv2",)
    assert common_maps(_chain((8, 8, 4)), _chain((8, 8, 8))) == ("conv1",)


def test_nothing_in_common() -> None:
    assert common_maps(_chain((4, 4)), _chain((8, 8))) == ()


def test_a_teacher_of_other_layers_has_equal_names_at_other_places() -> None:
    assert common_maps(_chain((8, 8), "other"), _chain((8, 8))) == ()
    assert common_maps(_chain((8, 8)), _chain((8, 8, 8))) == ()
    small, large = (ModelHelper(ResnetAtCifar10Config(resnet_size=size)) for size in (20, 32))
    assert common_maps(small.build_model(), large.build_model()) == ()


def test_what_is_random_or_not_learned_does_not_count() -> None:
    def model(*front: keras.layers.Layer) -> keras.Model:
        inputs = keras.Input((8, 8, 3))
        x = inputs
        for layer in front:
            x = layer(x)
        x = keras.layers.Conv2D(4, 3, name="conv")(x)
        x = keras.layers.Dropout(0.5, name="drop")(x)
        return keras.Model(inputs, keras.layers.Flatten(name="flatten")(x))

    scaled = model(keras.layers.Rescaling(0.5, name="scale"))
    assert common_maps(scaled, keras.models.clone_model(scaled)) == ("conv",)
    flipped = model(keras.layers.RandomFlip(name="flip"))  # each sees a picture of its own
    assert common_maps(flipped, keras.models.clone_model(flipped)) == ()


def test_the_order_of_branches_is_no_difference() -> None:
    def model(*names: str) -> keras.Model:
        inputs = keras.Input((8, 8, 3))
        branches = [keras.layers.Conv2D(4, 3, name=name)(inputs) for name in names]
        return keras.Model(inputs, keras.layers.Add(name="sum")(branches))

    assert common_maps(model("a", "b"), model("b", "a")) == ("sum",)


def test_a_gate_of_one_pixel_is_no_map() -> None:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(3, 1, name="expand")(x))
    assert common_maps(model, keras.models.clone_model(model)) == ()


def test_a_fixed_batch_is_no_difference() -> None:
    model = _chain((8, 8))
    config = model.get_config()
    config["layers"][0]["config"]["batch_shape"] = (2, 8, 8, 3)
    assert common_maps(model, keras.Model.from_config(config)) == ("conv1",)


def test_a_layer_that_is_called_twice_does_not_count() -> None:
    inputs = keras.Input((8, 8, 3))
    conv = keras.layers.Conv2D(3, 3, padding="same", name="conv")
    model = keras.Model(inputs, conv(conv(inputs)))
    assert common_maps(model, keras.models.clone_model(model)) == ()


def test_a_sequential_network_that_was_loaded() -> None:
    layers = [keras.layers.Conv2D(4, 3, name=f"conv{index}") for index in range(3)]
    made = keras.Sequential([keras.Input((8, 8, 3)), *layers, keras.layers.Flatten()])
    model = keras.Sequential.from_config(made.get_config())
    assert common_maps(model, made) == ("conv0", "conv1", "conv2")
    images = np.ones((1, 8, 8, 3), "float32")
    outputs, (last,) = with_layers(model, ("conv2",))(images)
    np.testing.assert_array_equal(outputs, model(images))
    np.testing.assert_array_equal(np.reshape(last, (1, -1)), outputs)
