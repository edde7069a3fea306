import dataclasses
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from nets.abstract_model_helper import AbstractModelHelper
from utils.errors import InputError
from utils.export.check import check_files, check_tflite, require_passed
from utils.export.config import CheckConfig
from utils.export.errors import ExportError
from utils.export.runner import TFLiteRunner
from utils.export.tflite import convert
from utils.training import Scorer


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


class Binary(AbstractModelHelper):
    """One sigmoid output: whether the digit is even; AUC decides."""

    def __init__(self, data, metrics):
        super().__init__()
        self._data, self._metrics, self.dumped = data, metrics, 0

    def build_dataset_train(self):
        return self.build_dataset_eval()

    def build_dataset_eval(self):
        return tf.data.Dataset.from_tensor_slices(self._data).batch(50)

    def calc_loss(self, labels, outputs, trainable_vars):
        decay = tf.add_n([tf.nn.l2_loss(variable) for variable in trainable_vars])
        return tf.reduce_mean(keras.losses.binary_crossentropy(labels, outputs)) + decay, {}

    def build_metrics(self):
        return self._metrics()


class Dumping(Binary):
    """Counts the outputs above a half."""

    def dump_n_eval(self, outputs, action):
        if action == "init":
            self.dumped = 0
        elif action == "dump":
            self.dumped += int(np.sum(np.asarray(outputs) > 0.5))
        return {"evens": self.dumped} if action == "eval" else {}


@pytest.fixture(scope="module")
def evens(digits):
    """A network that tells even digits, its int8 file, data sorted by class."""
    images, labels = digits[1]
    inputs = keras.Input((8, 8, 1))
    keras.utils.set_random_seed(0)
    hidden = keras.layers.Dense(16, activation="relu")(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(hidden))
    model.compile("adam", "binary_crossentropy")
    model.fit(digits[0][0], digits[0][1] % 2 == 0, epochs=4, verbose=0)
    order = np.argsort(labels % 2, kind="stable")
    data = images[order], (labels[order] % 2 == 0).astype(np.float32)[:, None]
    return model, convert(model, "int8", [digits[0][0][:100]]), data


def interpreted(content, images):
    runner = TFLiteRunner(content)
    return np.concatenate([runner(images[i : i + 1]) for i in range(len(images))])


def test_metrics_of_the_whole_set_decide(evens):
    model, content, data = evens
    helper = Dumping(data, lambda: [keras.metrics.AUC(name="auc")])
    dataset = helper.build_dataset_eval()
    result = check_tflite(content, model, dataset, Scorer(helper))
    outputs = model.predict(data[0], verbose=0), interpreted(content, data[0])
    aucs = []
    for given in outputs:
        metric = keras.metrics.AUC()
        metric.update_state(data[1], given)
        aucs.append(float(metric.result()))
    assert aucs[0] > 0.9
    assert result.metric == "auc" and (result.top1, result.agreement) == (None, None)
    assert [result.keras_value, result.value] == pytest.approx(aucs, abs=1e-6)
    assert result.gap == pytest.approx(aucs[0] - aucs[1], abs=1e-6)
    assert helper.dumped == np.sum(outputs[1] > 0.5)  # the last that was collected is the file
    limits = CheckConfig(tflite_max_gap=0.0, tflite_max_error=1.0)
    worse = convert(model, "int8", [data[0][:100] / 8])
    failed = check_tflite(worse, model, dataset, Scorer(helper), limits)
    assert failed.reasons[0].startswith("auc 0.") and "--tflite_max_gap=0" in failed.reasons[0]


def test_a_blind_metric_does_not_pass_a_file(evens):
    """Recall of 0 against 0 is no reason to trust a file: its outputs are compared instead."""
    model, _, (images, _) = evens
    nothing = images, np.ones((len(images), 1), np.float32)
    helper = Binary(nothing, lambda: [keras.metrics.Recall(thresholds=1.0, name="recall")])
    worse = convert(model, "int8", [images[:100] / 8])
    result = check_tflite(worse, model, helper.build_dataset_eval(), Scorer(helper))
    assert (result.gap, result.is_blind) == (0.0, True)
    assert not result.passed and "--tflite_max_error=" in result.reasons[0]


def test_refuses_an_empty_data_set(network, contents, accuracy):
    with pytest.raises(InputError, match=r"the data set to check .tflite files with is empty"):
        check_tflite(contents["float32"], network, [], accuracy)


def test_passed_results_are_let_through(results):
    require_passed(results)
    assert dataclasses.asdict(results[0])["kind"] == "float32"
