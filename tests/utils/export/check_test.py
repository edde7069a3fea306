import dataclasses
import zlib

import keras
import numpy as np
import pytest

from utils.errors import InputError
from utils.export.check import check_files, check_tflite, require_passed
from utils.export.config import CheckConfig
from utils.export.errors import ExportError
from utils.export.tflite import convert


@pytest.fixture(scope="module")
def results(network, contents, batches, accuracy):
    return check_files(list(contents.values()), network, batches, accuracy)


def test_counts_every_sample_once(results, network, batches, digits):
    images, labels = digits[1]
    expected = np.mean(np.argmax(network.predict(images, verbose=0), -1) == labels)
    assert all(result.num_samples == 597 for result in results)
    assert all(result.keras_top1 == pytest.approx(expected) for result in results)
    assert expected > 0.93


def test_the_float_file_is_the_same(results):
    result = results[0]
    assert (result.kind, result.gap, result.agreement) == ("float32", 0.0, 1.0)
    assert result.error < 1e-5
    assert result.passed and result.layers == () and result.float_operators == ()


@pytest.mark.parametrize("index", [1, 2])
def test_quantized_files_pass_the_default_limits(index, results):
    result = results[index]
    assert result.kind == ("float32", "dynamic", "int8")[index]
    assert result.passed and result.reasons == ()
    assert result.gap == pytest.approx(result.keras_top1 - result.top1)
    assert 0.97 <= result.agreement <= 1.0
    assert 0 < result.error < 0.05


def test_sizes(results, contents):
    for result, content in zip(results, contents.values(), strict=True):
        assert result.file_bytes == len(content)
        assert result.file_bytes_deflated == len(zlib.compress(content, 9))


def test_a_path_is_remembered(tmp_path, network, contents, batches, accuracy):
    path = tmp_path / "net.tflite"
    path.write_bytes(contents["dynamic"])
    result = check_tflite(path, network, batches[:1], accuracy)
    assert (result.path, result.num_samples) == (str(path), 100)
    assert check_tflite(contents["dynamic"], network, batches[:1], accuracy).path is None


def test_a_bad_file_fails_with_its_layers(network, calibration, batches, accuracy):
    bad = convert(network, "int8", [calibration / 8])  # ranges far too small
    result = check_tflite(bad, network, batches, accuracy)
    assert not result.passed and result.gap > 0.01
    assert "--tflite_max_gap=0.01" in result.reasons[0]
    assert "--tflite_min_agreement=0.97" in result.reasons[1]
    assert result.layers[0].added_nmse == max(row.added_nmse for row in result.layers)
    with pytest.raises(
        ExportError,
        match=r"the int8 .tflite file differs too much from its Keras model: accuracy 0\.\d+ "
        r"against .*--tflite_max_gap=0.01.*Layers by the error they add: .* dB: .*calibrat",
    ) as caught:
        require_passed([result])
    assert caught.value.results == (result,)


def test_limits_are_inclusive(network, contents, batches, accuracy, results):
    measured = results[2]
    exact = CheckConfig(
        tflite_max_gap=max(measured.gap, 0.0), tflite_min_agreement=measured.agreement
    )
    assert check_tflite(contents["int8"], network, batches, accuracy, exact).passed


def test_a_wrong_float_file_fails(network, contents, batches, accuracy):
    other = keras.models.clone_model(network)
    other.set_weights([weights * 1.01 for weights in network.get_weights()])
    result = check_tflite(contents["float32"], other, batches[:1], accuracy)
    assert not result.passed and "rounding explains 0.0001" in result.reasons[0]
    assert result.layers == ()


def test_outputs_without_classes_are_judged_by_their_error(network, contents, batches):
    result = check_tflite(contents["int8"], network, batches, lambda labels, outputs: {})
    assert (result.top1, result.keras_top1, result.gap, result.agreement) == (None,) * 4
    assert result.passed and result.error > 0
    tight = CheckConfig(tflite_max_error=result.error / 2)
    failed = check_tflite(contents["int8"], network, batches[:1], lambda labels, outputs: {}, tight)
    assert not failed.passed and "--tflite_max_error=" in failed.reasons[0]


def test_nan_outputs_fail():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.ops.log(keras.layers.Dense(3, name="head")(inputs)))
    model.get_layer("head").set_weights([-np.ones((4, 3)), np.zeros(3)])
    data = [(np.ones((2, 4), np.float32), None)]
    result = check_tflite(convert(model, "float32"), model, data, lambda labels, outputs: {})
    assert np.isnan(result.error) and not result.passed


def test_several_outputs():
    inputs = keras.Input((4,))
    heads = [keras.layers.Dense(3)(inputs), keras.layers.Dense(2)(inputs)]
    model = keras.Model(inputs, heads)
    values = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    seen = []

    def metrics(labels, outputs):
        seen.append([tuple(output.shape) for output in outputs])
        return {"accuracy": 1.0}

    result = check_tflite(convert(model, "int8", [values]), model, [(values, None)], metrics)
    assert seen == [[(20, 3), (20, 2)]] * 2
    assert result.agreement is None and result.top1 == 1.0 and result.error < 0.1


def test_refuses_an_empty_data_set(network, contents, accuracy):
    with pytest.raises(InputError, match=r"the data set to check .tflite files with is empty"):
        check_tflite(contents["float32"], network, [], accuracy)


def test_passed_results_are_let_through(results):
    require_passed(results)
    assert dataclasses.asdict(results[0])["kind"] == "float32"
