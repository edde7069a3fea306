"""From a trained network and a few samples to integers: simulated, computed, and in the file."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from learners.post_training.config import PostTrainingConfig
from learners.post_training.recipe import PostTrained, quantize
from utils.errors import InputError
from utils.export.config import ConvertConfig
from utils.export.conversion import Exported, convert_all
from utils.export.flatbuffer import read_graph
from utils.graph import Graph, Ref, from_keras, to_keras
from utils.quantization.distances import layer_distances
from utils.quantization.integer_network import IntegerNetwork

_RNG = np.random.default_rng(0)
_IMAGES = _RNG.normal(size=(64, 8, 8, 3)).astype(np.float32)


def _network(*, softmax: bool = False) -> keras.Model:
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
    x = layers.Dense(5, name="out")(x)
    model = keras.Model(inputs, layers.Softmax(name="soft")(x) if softmax else x)
    for weight in model.weights:
        is_scale = "gamma" in weight.path or "variance" in weight.path
        low, high = (0.5, 2.0) if is_scale else (-0.7, 0.7)
        weight.assign(_RNG.uniform(low, high, weight.shape))
    kernel = np.array(model.get_layer("second").kernel)
    kernel[..., 3] = 0.0  # an empty channel, whose bias must fit
    model.get_layer("second").kernel.assign(kernel)
    model.get_layer("second").bias.assign([*[0.1] * 3, 5.0, *[-0.2] * 4])
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


def test_integers_are_those_of_the_file() -> None:
    """The file on the reference kernels, bit for bit."""
    trained = _quantized(from_keras(_network(softmax=True)), strategy="minmax_t")
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
    assert np.abs(found - _outputs(trained.simulated())).max() <= 3.5 * step
    steps = np.log2([float(each.scale[0]) for each in trained.scalings.values()])
    assert np.array_equal(steps, np.round(steps)) == (strategy == "scale_shift")


def _error_of(model: keras.Model, samples: object, **settings: object) -> float:
    """How far a quantized network is from itself in float, relative to its outputs."""
    trained = quantize(from_keras(model), PostTrainingConfig(**settings), [samples])  # type: ignore[arg-type]
    before, after = (
        np.asarray(to_keras(each)(samples)) for each in (trained.before, trained.simulated())
    )
    return float(np.linalg.norm(after - before) / np.linalg.norm(before))


@pytest.mark.parametrize("rounding", ["nearest", "obq"])
def test_networks_with_two_inputs(rounding: str) -> None:
    keras.utils.set_random_seed(0)
    inputs = [keras.Input((8, 8, 3), name=name) for name in ("z", "a")]
    x = keras.layers.Add()([keras.layers.Conv2D(4, 3)(each) for each in inputs])
    model = keras.Model(inputs, keras.layers.Dense(5)(keras.layers.Flatten()(x)))
    assert _error_of(model, [_IMAGES, _IMAGES[::-1].copy()], rounding=rounding) < 0.05


def test_layers_that_are_called_twice() -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    shared = keras.layers.Conv2D(3, 3, padding="same", activation="relu", name="shared")
    x = keras.layers.GlobalAveragePooling2D()(shared(shared(inputs)))
    model = keras.Model(inputs, x)
    assert _error_of(model, _IMAGES, rounding="obq") < 0.05
    deployed = to_keras(quantize(from_keras(model), PostTrainingConfig(), [_IMAGES]).deployed())
    # A layer's name becomes a scope in a graph, which allows fewer letters than Keras does.
    traced = np.asarray(tf.function(deployed)(tf.constant(_IMAGES)))
    assert np.abs(traced - np.asarray(model(_IMAGES))).max() < 0.05


@pytest.mark.parametrize(
    "layer",
    [keras.layers.Conv2DTranspose(3, 3, name="to"), keras.layers.DepthwiseConv1D(3, name="to")],
)
def test_biases_of_layers_with_other_kernels(layer: keras.layers.Layer) -> None:
    """Transposed and one-dimensional kernels hold their channels elsewhere."""
    shape = (8, 8, 3) if isinstance(layer, keras.layers.Conv2DTranspose) else (64, 3)
    inputs = keras.Input(shape)
    model = keras.Model(inputs, layer(inputs))
    samples = np.abs(_IMAGES).reshape(64, *shape)
    model.get_layer("to").bias.assign(np.arange(3.0))
    found = quantize(from_keras(model), PostTrainingConfig(weight_bits=4), [samples])
    kernel, coarse = (graph.params["to"] for graph in (found.before, found.graph))
    if len(shape) == 3:
        np.testing.assert_array_equal(coarse["bias"], kernel["bias"])
        return
    shift = (coarse["kernel"] - kernel["kernel"]).sum(axis=0)[:, 0] * samples.mean(axis=(0, 1))
    np.testing.assert_allclose(coarse["bias"], kernel["bias"] - shift, rtol=1e-4, atol=1e-6)


def test_an_empty_channel_keeps_its_bias(graph: Graph) -> None:
    trained = _quantized(graph)
    tensor = trained.weights["second", "kernel"]
    step = float(trained.scalings[Ref("sum_relu")].scale[0])
    assert not (tensor.indices[..., 3].astype(int) - tensor.zero_point[3]).any()
    assert 5.0 / (step * float(tensor.scale[3])) <= 2**30
    network = IntegerNetwork(trained.graph, trained.scalings, trained.weights)
    (found,) = network(_IMAGES)
    (out_step,) = trained.scalings[trained.graph.outputs[0]].scale
    assert np.abs(found - _outputs(trained.simulated())).max() <= 3.5 * out_step


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
