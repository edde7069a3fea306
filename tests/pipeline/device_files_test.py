"""Files of both networks; whole runs, and what happens when a step fails, are in `tests/users`."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from learners.base import Trained
from pipeline.device_files import measure_files
from pipeline.outcome import Outcome
from pipeline.steps import Steps
from tests.learners.runs import make_run
from utils import flags
from utils.export.config import ExportConfig

QUICK = {"nb_repts": 6, "nb_repts_warmup": 1, "tflite_max_gap": 1, "tflite_min_agreement": 0}


class FakeQuant(keras.layers.Layer):
    """Rounds to 256 steps in -8 … 8, as a network made for the device does."""

    def call(self, inputs):
        return tf.quantization.fake_quant_with_min_max_args(inputs, min=-8, max=8)


def network(seed, quantized=False):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 1))
    x = FakeQuant()(inputs) if quantized else inputs
    x = keras.layers.Dense(10, name="head")(keras.layers.Flatten()(x))
    return keras.Model(inputs, FakeQuant()(x) if quantized else x)


@pytest.fixture
def measured(tmp_path):
    def measure(after, kinds, others=None):
        _, helper = make_run("full-prec", tmp_path)
        steps = Steps()
        config = flags.build(ExportConfig, {**QUICK, "tflite": kinds})
        paths = {name: tmp_path / f"{name}.keras" for name in ("before", "after")}
        outcome = Outcome(network(0), after, ())
        files = measure_files(config, helper, outcome, others or {}, paths=paths, steps=steps)
        assert steps.failures == []
        return files, helper

    return measure


def accuracy(model, helper):
    pairs = list(helper.build_dataset_eval().as_numpy_iterator())
    images, labels = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    return np.mean(model.predict(images, verbose=0).argmax(-1) == labels)


def test_each_file_is_made_once_and_timed_in_turns(measured, monkeypatch):
    from pipeline import device_files
    from utils.export.runner import timed_call

    opened = []
    real = device_files.load_function

    def counting(reference):
        function = real(reference)
        if function is not timed_call:
            return function
        return lambda content, **options: (opened.append(content), function(content, **options))[1]

    monkeypatch.setattr(device_files, "load_function", counting)
    third = network(2)
    files, helper = measured(Trained(network(1)), "float32", {"control": third})
    assert [(r.network, r.kind) for r in files.results] == [
        ("before", "float32"),
        ("after", "float32"),
    ]
    # Loaded once to see that it loads, then anew for each of six blocks; the same two contents.
    assert [opened.count(content) for content in dict.fromkeys(opened)] == [7, 7]
    assert set(files.timings) == {("before", "float32"), ("after", "float32")}
    assert all(stats.n == 6 and len(stats.block_p50) == 6 for stats in files.timings.values())
    assert [pathlib.Path(result.path).name for result in files.results] == [
        "before_float32.tflite",
        "after_float32.tflite",
    ]
    assert list(files.networks) == ["before", "after", "control"]
    assert files.networks["control"].scores.top1 == pytest.approx(accuracy(third, helper))


def test_files_are_made_of_the_network_for_the_device(measured):
    """The artefact is scored as the result; its files are those of the deployed network."""
    model, deployed = network(1), network(3, quantized=True)
    files, helper = measured(Trained(model, deployed), "int8")
    assert list(files.networks) == ["before", "after"]
    assert files.networks["after"].scores.top1 == pytest.approx(accuracy(model, helper))
    _, result = files.results
    assert (result.network, result.kind, result.failed) == ("after", "int8", "")
    assert result.keras_top1 == pytest.approx(accuracy(deployed, helper))
    assert result.float_operators == ()
    assert result.error < 0.05  # its ranges came with it: no sample was looked at


def test_no_file_was_asked_for(measured):
    files, helper = measured(Trained(network(1)), "none")
    assert files.results == [] and files.timings == {}
    assert files.networks["before"].scores.top1 == pytest.approx(accuracy(network(0), helper))
