import keras
import pytest
from keras import layers

from tests.learners import networks
from utils.graph import from_keras
from utils.graph.activations import peak_activations


def peak(inputs, outputs):
    return peak_activations(from_keras(keras.Model(inputs, outputs)))


def test_a_tensor_is_free_after_its_last_reader():
    inputs = keras.Input((10,))
    x = layers.Dense(50)(inputs)
    x = layers.Dense(20)(x)
    x = layers.Dense(30)(x)
    assert peak(inputs, layers.Dense(5)(x)) == 50 + 20


def test_a_shortcut_lives_over_its_branch():
    inputs = keras.Input((8, 8, 4))
    stem = layers.Conv2D(4, 3, padding="same")(inputs)
    branch = layers.Conv2D(16, 1)(stem)
    branch = layers.Conv2D(4, 1)(branch)
    total = layers.Add()([stem, branch])
    # At the second of the branch: the stem, the wide map and its own.
    assert peak(inputs, total) == 64 * (4 + 16 + 4)


def test_values_that_somebody_else_reads_are_not_written_over():
    inputs = keras.Input((100,))
    x = layers.Dense(100)(inputs)
    alone = layers.Dense(1)(layers.ReLU()(x))
    assert peak(inputs, alone) == 200
    x = layers.Dense(100)(inputs)
    both = layers.Concatenate()([layers.ReLU()(x), x])
    assert peak(inputs, both) == 100 + 100 + 200


def test_the_input_is_not_written_over_and_reshaping_moves_nothing():
    inputs = keras.Input((6, 6, 2))
    assert peak(inputs, layers.ReLU()(inputs)) == 144
    flat = layers.Dense(3)(layers.Flatten()(inputs))
    assert peak(inputs, flat) == 72 + 3


def test_outputs_stay():
    inputs = keras.Input((10,))
    first = layers.Dense(40)(inputs)
    assert peak(inputs, [first, layers.Dense(40)(layers.Dense(40)(first))]) == 120


def test_open_sizes_are_not_counted():
    inputs = keras.Input((None, 3))
    assert peak(inputs, layers.Dense(2)(inputs)) is None


@pytest.mark.parametrize("build", [networks.residual])
def test_no_less_than_the_largest_node_needs(build):
    graph = from_keras(build())
    found = peak_activations(graph)
    largest = 0
    for node in graph.nodes:
        sizes = [graph.shape(ref)[1:] for ref in {*node.inputs}] + [node.output_shapes[0][1:]]
        if node.op.endswith(("Conv2D", "Dense")):
            largest = max(largest, sum(int(keras.ops.prod(size)) for size in sizes))
    assert found >= largest
