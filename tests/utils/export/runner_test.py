import keras
import numpy as np
import pytest

from utils.errors import InputError
from utils.export.runner import TFLiteRunner
from utils.export.tflite import convert


@pytest.fixture(scope="module")
def two_in_two_out():
    """Signature names sort differently from the order of inputs."""
    keras.utils.set_random_seed(0)
    wide, narrow = keras.Input((8,), name="wide"), keras.Input((3,), name="narrow")
    joined = keras.layers.Concatenate()([wide, narrow])
    outputs = [keras.layers.Dense(5)(joined), keras.layers.Dense(2)(joined)]
    return keras.Model([wide, narrow], outputs)


def test_float_file_equals_keras(network, contents, digits):
    images = digits[1][0][:37]
    outputs = TFLiteRunner(contents["float32"])(images)
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, network(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["dynamic", "int8"])
def test_quantized_files_are_near(kind, network, contents, digits):
    images = digits[1][0][:50]
    expected = np.asarray(network(images))
    outputs = TFLiteRunner(contents[kind], num_threads=2)(images)
    assert np.sqrt(np.mean((outputs - expected) ** 2) / np.mean(expected**2)) < 0.05


def test_samples_do_not_depend_on_their_batch(contents, digits):
    runner = TFLiteRunner(contents["int8"])
    images = digits[1][0][:5]
    together = runner(images)
    np.testing.assert_array_equal(
        together, np.concatenate([runner(images[i : i + 1]) for i in range(5)])
    )


def test_fixed_batch_of_another_size_is_filled_up(network, digits):
    inputs = keras.Input((8, 8, 1), batch_size=None)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    runner = TFLiteRunner(convert(model, "float32"), batch_size=4)
    assert runner.batch_size == 4
    images = digits[1][0][:6]
    np.testing.assert_allclose(runner(images), images.mean((1, 2)), rtol=1e-5)


def test_refuses_a_batch_the_file_cannot_take(contents):
    with pytest.raises(InputError, match=r"does not run with batch size 3: .*use batch size 1"):
        TFLiteRunner(contents["float32"], batch_size=3)  # its RESHAPE is fixed to one sample


def test_several_inputs_and_outputs(two_in_two_out):
    generator = np.random.default_rng(0)
    wide = generator.normal(size=(4, 8)).astype(np.float32)
    narrow = generator.normal(size=(4, 3)).astype(np.float32)
    runner = TFLiteRunner(convert(two_in_two_out, "float32"))
    expected = two_in_two_out([wide, narrow])
    outputs = runner({"wide": wide, "narrow": narrow})
    for ours, theirs in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    listed = runner([{"wide": wide, "narrow": narrow}[name] for name in runner.input_shapes])
    np.testing.assert_array_equal(listed[0], outputs[0])


def test_dict_outputs_keep_the_order_of_keras():
    inputs = keras.Input((4,), name="x")
    heads = {"second": keras.layers.Dense(2)(inputs), "first": keras.layers.Dense(3)(inputs)}
    runner = TFLiteRunner(convert(keras.Model(inputs, heads), "float32"))
    outputs = runner(np.ones((2, 4), np.float32))
    assert [output.shape for output in outputs] == [(2, 3), (2, 2)]


def test_float_io_of_an_int8_file(network, calibration, contents, digits):
    images = digits[1][0][:20]
    content = convert(network, "int8", [calibration], io_format="float32")
    runner = TFLiteRunner(content)
    assert runner.graph.tensors[runner.graph.inputs["images"]].dtype == "float32"
    np.testing.assert_allclose(runner(images), TFLiteRunner(contents["int8"])(images), atol=0.5)


def test_inputs_beyond_the_range_saturate(contents):
    runner = TFLiteRunner(contents["int8"])
    far = np.full((1, 8, 8, 1), 1e6, np.float32)
    limit = np.full((1, 8, 8, 1), 1.0, np.float32)  # the largest calibrated pixel
    np.testing.assert_array_equal(runner(far), runner(limit))


def test_bound_call_repeats_the_same_inputs(contents):
    runner = TFLiteRunner(contents["float32"])
    call = runner.bind(np.ones((1, 8, 8, 1), np.float32))
    assert call() is None


def test_keeps_tensors(contents, digits):
    runner = TFLiteRunner(contents["int8"], keep_tensors=True)
    outputs = runner(digits[1][0][:1])
    np.testing.assert_array_equal(runner.tensor(next(iter(runner.graph.outputs.values()))), outputs)


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.999])
def test_refuses_truncated_files(part, contents):
    content = contents["int8"]
    with pytest.raises(InputError, match=r"the \.tflite file cannot be run: .*Write it anew"):
        TFLiteRunner(content[: int(part * len(content))])


def test_refuses_other_files(tmp_path):
    path = tmp_path / "other.tflite"
    path.write_text("a text")
    with pytest.raises(InputError, match=r"other.tflite cannot be run"):
        TFLiteRunner(path)
    with pytest.raises(InputError, match=r"cannot read the .tflite file .*none.tflite': No such"):
        TFLiteRunner(tmp_path / "none.tflite")


def test_refuses_wrong_inputs(contents, two_in_two_out):
    runner = TFLiteRunner(contents["float32"])
    with pytest.raises(InputError, match=r"'images' takes batches of shape \(n, 8, 8, 1\). Rec"):
        runner(np.zeros((2, 28, 28, 1), np.float32))
    with pytest.raises(InputError, match=r"Received: \(0, 8, 8, 1\)"):
        runner(np.zeros((0, 8, 8, 1), np.float32))
    with pytest.raises(InputError, match=r"takes the inputs \['images'\].*Received: \['x'\]"):
        runner({"x": np.zeros((1, 8, 8, 1), np.float32)})
    with pytest.raises(InputError, match=r"as a list in this order or by name. Received: 1"):
        TFLiteRunner(convert(two_in_two_out, "float32"))([np.zeros((1, 8), np.float32)])
