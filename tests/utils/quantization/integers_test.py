"""Where quantizers stand: against lists written by hand."""

import keras
import numpy as np
import pytest
from keras import layers

from tests.learners.networks import concat, depthwise, residual, vgg
from utils.graph import from_keras
from utils.graph.integer_form import inference_form, integer_form
from utils.quantization.integers import IntegerPlan, integer_plan


def plan_of(model: keras.Model) -> IntegerPlan:
    return integer_plan(inference_form(integer_form(from_keras(model)))[0])


def plan(build, size=(8, 8, 4)) -> IntegerPlan:
    inputs = keras.Input(size, name="in")
    return plan_of(keras.Model(inputs, build(inputs)))


def ranges(found: IntegerPlan) -> list[list[str]]:
    return [[ref.node for ref in place.refs] for place in found.activations]


def test_a_residual_network() -> None:
    found = plan_of(residual())
    names = [name for (name,) in ranges(found)]
    kernels = ["stem", "a1", "a2", "b1", "b2", "short"]
    assert names[1:4] == ["stem", "a1", "a2"]
    assert "sum_a" not in names and len(names) == 11  # the sum's range is that of its ReLU
    assert [place.layer for place in found.weights] == [*kernels, "head"]
    assert [place.axes for place in found.weights] == [*[(-1,)] * 6, ()]
    assert not found.floats


@pytest.mark.parametrize("build", [vgg, depthwise])
def test_one_range_for_each_layer(build) -> None:
    found = plan_of(build())
    assert all(len(place.refs) == 1 and place.fixed is None for place in found.activations)
    assert not found.floats


def test_depthwise_kernels_have_scales_by_both_channel_axes() -> None:
    axes = {place.layer: place.axes for place in plan_of(depthwise()).weights}
    assert axes["depth1"] == (-2, -1) and axes["point1"] == (-1,) and axes["head"] == ()


def test_what_is_joined_shares_a_range() -> None:
    model = concat()
    assert sorted(map(len, ranges(plan_of(model)))) == [1, 1, 1, 1, 4]


def test_products_in_a_concatenation_are_quantized_with_the_others() -> None:
    def build(x):
        product = layers.Multiply(name="product")([x, layers.Conv2D(4, 1, name="conv")(x)])
        moved = layers.ZeroPadding2D(0, name="moved")(product)
        return layers.Concatenate(name="both")([moved, layers.MaxPooling2D(1)(x)])

    # Through layers that only move values: the pooled input is one of them.
    assert sorted(map(sorted, ranges(plan(build)))) == [["both", "in", "product"], ["conv"]]


@pytest.mark.parametrize("layer", [layers.Concatenate, layers.Maximum, layers.Minimum])
def test_kernels_of_one_scale(layer) -> None:
    def build(x):
        return layer(name="both")([layers.Conv2D(4, 1, name="conv")(x), x])

    assert ranges(plan(build)) == [["in", "conv", "both"]]


def test_a_relu_is_part_of_a_sum_only_if_nothing_else_reads_it() -> None:
    def build(x, *, others):
        total = layers.Add(name="sum")([x, layers.Conv2D(4, 1, name="conv")(x)])
        found = layers.ReLU(name="relu")(total)
        return [found, total] if others else found

    assert ranges(plan(lambda x: build(x, others=False))) == [["in"], ["conv"], ["relu"]]
    assert ["sum"] in ranges(plan(lambda x: build(x, others=True)))


def test_ranges_that_kernels_settle() -> None:
    def build(x):
        gate = layers.Activation("sigmoid", name="gate")(layers.Conv2D(4, 1, name="conv")(x))
        return layers.Softmax(name="soft")(layers.Multiply(name="scaled")([x, gate]))

    found = {place.refs[0].node: place.fixed for place in plan(build).activations}
    unit = (0.0, 255 / 256)
    assert found == {"in": None, "conv": None, "gate": unit, "scaled": None, "soft": unit}


def test_a_settled_range_that_is_shared_is_found_like_others() -> None:
    def build(x):
        gate = layers.Activation("tanh", name="gate")(x)
        return layers.Concatenate(name="both")([gate, x])

    (found,) = plan(build).activations
    assert [ref.node for ref in found.refs] == ["in", "gate", "both"] and found.fixed is None


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (lambda: layers.LayerNormalization(name="odd"), "LayerNormalization"),
        (lambda: layers.Activation("elu", name="odd"), "Activation"),
        (lambda: layers.Conv3D(2, 1, name="odd"), "Conv3D"),
    ],
)
def test_operators_without_an_int8_kernel_are_named(layer, reason) -> None:
    found = plan(lambda x: layer()(x), size=(4, 4, 4, 2))
    assert found.floats == {"odd": f"{reason} has no int8 kernel"}
    assert ranges(found) == [["in"], ["odd"]]  # what is around them is quantized all the same


def test_calls_of_a_shared_layer_have_ranges_of_their_own_and_one_kernel() -> None:
    def build(x):
        conv = layers.Conv2D(4, 1, name="conv")
        return conv(conv(x))

    found = plan(build)
    assert ranges(found) == [["in"], ["conv"], ["conv#1"]] and len(found.weights) == 1


def test_integer_inputs_have_no_range() -> None:
    inputs = keras.Input((3,), dtype="int32", name="in")
    found = integer_plan(from_keras(keras.Model(inputs, layers.Embedding(4, 2)(inputs))))
    assert "in" not in np.ravel(ranges(found))
