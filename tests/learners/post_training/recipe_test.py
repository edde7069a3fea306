"""From a trained network and a few samples to integers: simulated, computed, and in the file."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from learners.post_training.config import PostTrainingConfig
from learners.post_training.recipe import PostTrained, quantize
from utils.errors import InputError
from utils.export.config import ConvertConfig
from utils.export.conversion import Exported, convert_all
from utils.export.flatbuffer import read_graph
from utils.graph import Graph, from_keras, to_keras
from utils.quantization.distances import layer_distances
from utils.quantization.integer_network import IntegerNetwork

_RNG = np.random.default_rng(0)
_IMAGES = _RNG.normal(size=(64, 8, 8, 3)).astype(np.float32)


def _network() -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="first")(inputs)
    x = layers.ReLU(name="first_relu")(layers.BatchNormalization(name="norm")(x))
    y = layers.DepthwiseConv2D(3, padding="same", name="depth")(x)
    x = layers.ReLU(name="sum_relu")(layers.Add(name="sum")([x, y]))
    x = layers.MaxPooling2D(2, name="pool")(layers.ZeroPadding2D(1, name="padding")(x))
    x = layers.Conv2D(8, 1, name="second")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    model = keras.Model(inputs, layers.Dense(5, name="out")(x))
    for weight in model.weights:
        is_scale = "gamma" in weight.path or "variance" in weight.path
        low, high = (0.5, 2.0) if is_scale else (-0.7, 0.7)
        weight.assign(_RNG.uniform(low, high, weight.shape))
    return model


@pytest.fixture(scope="module")
def graph() -> Graph:
    return from_keras(_network())


def _quantized(graph: Graph, **settings: object) -> PostTrained:
    return quantize(graph, PostTrainingConfig(**settings), [_IMAGES])  # type: ignore[arg-type]


def _outputs(graph: Graph) -> np.ndarray:
    return np.asarray(to_keras(graph)(_IMAGES, training=False))


def _error(trained: PostTrained) -> float:
    return float(np.linalg.norm(_outputs(trained.simulated()) - _outputs(trained.before)))


def test_integers_are_those_of_the_file(graph: Graph) -> None:
    """The file on the reference kernels, bit for bit."""
    trained = _quantized(graph, strategy="minmax_t")
    network = IntegerNetwork(trained.graph, trained.scalings, trained.weights)
    (found,) = network.integers(_IMAGES)
    deployed = to_keras(trained.deployed())
    exported = Exported(name="after", model=deployed, deployed=deployed)
    made = convert_all([exported], ["int8"], ConvertConfig(), None)[("after", "int8")]
    assert made.content is not None, made.failed
    assert not read_graph(made.content).float_operators()
    interpreter = Interpreter(
        model_content=made.content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    source, target = (
        each[0] for each in (interpreter.get_input_details(), interpreter.get_output_details())
    )
    scale, zero = source["quantization"]
    outputs = []
    for image in _IMAGES:
        steps = np.clip(np.round(image / np.float32(scale)) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(source["index"], steps[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(target["index"])[0])
    assert np.unique(found).size > 50
    np.testing.assert_array_equal(outputs, found)


@pytest.mark.parametrize("strategy", ["minmax", "symmetry_max", "scale_shift"])
def test_integers_and_simulation_agree(graph: Graph, strategy: str) -> None:
    trained = _quantized(graph, strategy=strategy)
    network = IntegerNetwork(trained.graph, trained.scalings, trained.weights)
    (found,) = network(_IMAGES)
    (step,) = trained.scalings[trained.graph.outputs[0]].scale
    assert np.abs(found - _outputs(trained.simulated())).max() <= 2.5 * step
    steps = np.log2([float(each.scale[0]) for each in trained.scalings.values()])
    assert np.array_equal(steps, np.round(steps)) == (strategy == "scale_shift")


def test_without_quantization_nothing_changes(graph: Graph) -> None:
    trained = _quantized(graph, strategy="null")
    np.testing.assert_allclose(_outputs(trained.simulated()), _outputs(graph), atol=1e-5)


def test_a_table_stands_for_the_samples(graph: Graph) -> None:
    first = _quantized(graph, calibration="kl")
    config = PostTrainingConfig(bias_correction=False)
    again = quantize(graph, config, table=first.table)
    assert again.scalings.keys() == first.scalings.keys()
    for ref, scaling in first.scalings.items():
        assert again.scalings[ref].scale == scaling.scale


def test_distances_single_out_the_coarse_layer(graph: Graph) -> None:
    kernel = graph.params["second"]["kernel"].copy()
    kernel[..., 0] *= 500.0  # of one channel: one grid per layer is too coarse for the others
    params = {**graph.params, "second": {**graph.params["second"], "kernel": kernel}}
    spoilt = graph.replace(params=params)
    trained = _quantized(spoilt, weight_quan="perlayer", weight_bits=4)
    rows = layer_distances(
        trained.before, trained.graph, trained.simulated(), trained.scalings, [_IMAGES], bits=8
    )
    assert [row.layer for row in rows] == ["first", "depth", "sum_relu", "second", "mean", "out"]
    first = rows[0]
    assert first.alone == first.inside  # nothing is in front of it
    assert all(row.inside.sqnr <= row.alone.sqnr + 3.0 for row in rows)
    fine = _quantized(graph)
    better = layer_distances(
        fine.before, fine.graph, fine.simulated(), fine.scalings, [_IMAGES], bits=8
    )
    assert better[0].alone.sqnr > first.alone.sqnr + 10


def test_samples_are_needed_and_checked(graph: Graph) -> None:
    with pytest.raises(InputError, match="needs samples"):
        quantize(graph, PostTrainingConfig())
    with pytest.raises(InputError, match=r"must have the shape \(n, 8, 8, 3\)"):
        quantize(graph, PostTrainingConfig(), [_IMAGES[:, :4]])
    wrong = _IMAGES.copy()
    wrong[3, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match="NaN or infinity"):
        quantize(graph, PostTrainingConfig(), [wrong])
