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
from utils.errors import InputError
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
    def measure(after, kinds, others=None, failing=(), **options):
        _, helper = make_run("full-prec", tmp_path)
        steps = Steps()
        config = flags.build(ExportConfig, {**QUICK, "tflite": kinds, **options})
        paths = {name: tmp_path / f"{name}.keras" for name in ("before", "after")}
        outcome = Outcome(network(0), after, ())
        files = measure_files(config, helper, outcome, others or {}, paths=paths, steps=steps)
        assert [failure.step for failure in steps.failures] == list(failing)
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


def sparse_network(seed):
    model = network(seed)
    kernel = model.get_layer("head").kernel
    values = np.asarray(kernel)
    kernel.assign(np.where(np.abs(values) < np.quantile(np.abs(values), 0.9), 0.0, values))
    return model


def test_sparse_files_and_costs_are_made_where_they_were_asked_for(measured):
    options = {"export_sparse": True, "target": "ethos-u55"}
    files, _ = measured(Trained(sparse_network(1)), "float32,int8", **options)
    found = {(result.network, result.kind): result for result in files.results}
    assert ("before", "sparse") not in found  # of the result only
    assert found["after", "sparse"].error < 1e-6
    assert found["after", "sparse"].file_bytes < found["after", "float32"].file_bytes
    assert pathlib.Path(found["after", "sparse"].path).name == "after_sparse.tflite"
    assert set(files.costs) == {("before", "int8"), ("after", "int8")}
    sizes = [files.costs[name, "int8"].estimate.encoded_bytes for name in ("before", "after")]
    assert sizes[1] < sizes[0] and files.notes == ()


def test_what_they_are_missing_for_is_noted(measured, monkeypatch):
    from pipeline import device_files

    def refuse(content, target):
        raise InputError("vela cannot compile the file: why.")

    monkeypatch.setattr(device_files, "device_cost", refuse)
    options = {"export_sparse": True, "target": "ethos-u55"}
    files, _ = measured(Trained(network(1)), "int8", **options)
    assert [result.kind for result in files.results if result.path] == ["int8", "int8"]
    assert files.costs == {} and len(files.notes) == 3
    assert files.notes[0].startswith("There is no sparse file: it would take")
    assert "The int8 file after, on ethos-u55: vela cannot compile the file: why." in files.notes


def test_a_cost_that_fails_in_an_unforeseen_way_does_not_undo_the_run(measured, monkeypatch):
    from pipeline import device_files

    def fail(content, target):
        raise RuntimeError("no one thought of that")

    monkeypatch.setattr(device_files, "device_cost", fail)
    options = {"failing": ["target"], "target": "ethos-u55"}
    files, _ = measured(Trained(network(1)), "int8", **options)
    assert files.costs == {} and all(result.path for result in files.results)
