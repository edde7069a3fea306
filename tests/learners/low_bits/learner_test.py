"""The recipe on a small network: what it leaves, with activations, zeros, nothing to train."""

import pathlib
import types
from typing import Any

import keras
import numpy as np
import pytest

from learners.config import RunConfig
from learners.kernels.layers import kernel_layers
from learners.low_bits.start import nearest_start
from learners.uniform_quantization.config import UniformQuantConfig
from learners.uniform_quantization.learner import UniformQuantLearner
from tests.learners.runs import TWO_STEPS, compress, make_run
from utils import weight_facts
from utils.graph import from_keras
from utils.report import Report
from utils.training import evaluate
from utils.training.latent import Unquantized

CONFIG = UniformQuantConfig()


def copied(network: keras.Model) -> keras.Model:
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


def run(network: keras.Model, folder: pathlib.Path, **values: Any) -> Report:
    own: dict[str, Any] = {"nb_epochs": "0", "uql_use_buckets": True, "uql_weight_bits": 2}
    own |= {"uql_rounding": "nearest", **values}
    return compress("uniform", folder, copied(network), **own)


def kernels_of(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(w) for w in model.weights if w.name == "kernel"]


@pytest.fixture(scope="module")
def by_moments(narrow_digits: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return run(narrow_digits, tmp_path_factory.mktemp("obq"), uql_rounding="obq")


def test_weights_lie_on_grids_of_their_bits(by_moments: Report) -> None:
    found = [weight_facts.bits([kernel]) for kernel in kernels_of(by_moments.model)]
    assert max(bits or 0 for bits in found[1:-1]) <= 2
    assert (found[-1] or 0) <= 8  # nine weights of conv1's channels are too few to tell 8 bits by
    rows = [row.facts for row in by_moments.layers if "bits" in row.facts]
    assert [facts["bits"] for facts in rows] == [8, *[2] * (len(rows) - 2), 8]
    assert {facts["granularity"] for facts in rows} == {"output channel"}
    assert all(0 <= facts["error"] < 0.3 for facts in rows)


def test_moments_are_worth_their_while(
    by_moments: Report, narrow_digits: keras.Model, tmp_path: pathlib.Path
) -> None:
    plain = run(narrow_digits, tmp_path)
    assert by_moments.after.top1 is not None
    assert plain.after.top1 is not None
    assert by_moments.after.top1 > plain.after.top1
    said = "take up what rounding shifts"  # the report says whether anything does
    assert any(said in note for note in by_moments.notes)
    assert not any(said in note for note in plain.notes)


def test_the_accuracy_is_that_with_quantized_activations(
    narrow_digits: keras.Model, tmp_path: pathlib.Path
) -> None:
    report = run(narrow_digits, tmp_path, uql_activation_bits=1, uql_weight_bits=8)
    helper = make_run("uniform", tmp_path)[1]
    own = evaluate(report.model, None, helper).top1
    assert report.after.top1 is not None
    assert own is not None
    assert report.after.top1 < own - 0.1
    # the artefact itself is plain
    assert {type(layer).__module__.partition(".")[0] for layer in report.model.layers} == {"keras"}
    assert any("activations of 1 bits" in note for note in report.notes)
    assert not any(".fpq" in note for note in report.notes)


def test_what_happens_beside_the_rounding_is_said(
    narrow_digits: keras.Model, tmp_path: pathlib.Path
) -> None:
    """Two steps: too few for the statistics of batch norms; 12 bits: too many for packed files."""
    report = run(narrow_digits, tmp_path, nb_epochs="0.09", uql_weight_bits=12)
    assert any("kernels have more than 8 bits" in note for note in report.notes)
    assert any("moving statistics of batch norms" in note for note in report.notes)


def test_zeros_of_layers_that_are_not_quantized_stay_too() -> None:
    inputs = keras.Input((5,), dtype="int32")
    x = keras.layers.Embedding(6, 4, name="words")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, name="out")(keras.layers.Flatten()(x)))
    model.get_layer("words").embeddings.assign(np.eye(6, 4))
    graph = from_keras(model)
    layers = kernel_layers(graph)
    codes = nearest_start(graph, layers, {"out": 3}, UniformQuantLearner.coding_by(CONFIG)).codes
    learner = types.SimpleNamespace(context=types.SimpleNamespace(run=RunConfig()))
    found = {
        each.variable.path: each
        for each in UniformQuantLearner.quantized(learner, model, graph, layers, codes)  # type: ignore[arg-type]
    }
    assert list(found) == ["words/embeddings", "out/kernel"]
    words = found["words/embeddings"]
    np.testing.assert_array_equal(words.absent, np.eye(6, 4) == 0)
    assert isinstance(words.quantizer, Unquantized)


def test_zeros_that_were_there_stay_in_training(
    narrow_digits: keras.Model, tmp_path: pathlib.Path
) -> None:
    sparse = copied(narrow_digits)
    rng = np.random.default_rng(0)
    masks = []
    for weight in sparse.weights:
        if weight.name == "kernel":
            masks.append(rng.random(weight.shape) < 0.5)
            weight.assign(weight * masks[-1])
    options = {"nb_epochs": TWO_STEPS, "uql_activation_bits": 4, "uql_skip_op_names": "fc1"}
    report = run(sparse, tmp_path, **options)
    for kernel, mask, before in zip(
        kernels_of(report.model), masks, kernels_of(sparse), strict=True
    ):
        assert not kernel[~mask].any()
        assert not np.array_equal(kernel, before)
    assert weight_facts.bits([kernels_of(report.model)[2]]) == 2
