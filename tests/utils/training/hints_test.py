"""Which feature maps two networks have in common, and the model that gives them."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from nets.resnet_at_cifar10 import ModelHelper
from tests.utils.training.conftest import batches, network
from utils.graph import from_keras, shrink, to_keras
from utils.training import common_maps
from utils.training.hints import with_maps


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
    assert common_maps(_chain((8, 8), "other"), _chain((8, 8))) == ()


def test_a_layer_that_is_called_twice_does_not_count() -> None:
    inputs = keras.Input((8, 8, 3))
    conv = keras.layers.Conv2D(3, 3, padding="same", name="conv")
    model = keras.Model(inputs, conv(conv(inputs)))
    assert common_maps(model, keras.models.clone_model(model)) == ()


def test_maps_come_from_the_same_pass() -> None:
    model = network()
    images, _ = next(iter(batches()))
    outputs, (norm, relu) = with_maps(model, ("norm", "relu"))(images)
    np.testing.assert_array_equal(outputs, model(images))
    np.testing.assert_array_equal(relu, np.maximum(norm, 0))
