"""The recipe on a small network: what it leaves, with activations, zeros, nothing to train."""

import pathlib
from typing import Any

import keras
import numpy as np
import pytest

from tests.learners.runs import TWO_STEPS, compress, make_run
from utils import weight_facts
from utils.report import Report
from utils.training import evaluate


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
def by_moments(trained_digits: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return run(trained_digits, tmp_path_factory.mktemp("obq"), uql_rounding="obq")


def test_weights_lie_on_grids_of_their_bits(by_moments: Report) -> None:
    found = [weight_facts.bits([kernel]) for kernel in kernels_of(by_moments.model)]
    assert max(bits or 0 for bits in found[1:-1]) <= 2
    assert (found[-1] or 0) <= 8  # nine weights of conv1's channels are too few to tell 8 bits by
    rows = [row.facts for row in by_moments.layers if "bits" in row.facts]
    assert [facts["bits"] for facts in rows] == [8, *[2] * (len(rows) - 2), 8]
    assert {facts["granularity"] for facts in rows} == {"output channel"}
    assert all(0 <= facts["error"] < 0.3 for facts in rows)


def test_moments_are_worth_their_while(
    by_moments: Report, trained_digits: keras.Model, tmp_path: pathlib.Path
) -> None:
    plain = run(trained_digits, tmp_path)
    assert by_moments.after.top1 is not None
    assert plain.after.top1 is not None
    assert by_moments.after.top1 > plain.after.top1


def test_the_accuracy_is_that_with_quantized_activations(
    trained_digits: keras.Model, tmp_path: pathlib.Path
) -> None:
    report = run(trained_digits, tmp_path, uql_activation_bits=1, uql_weight_bits=8)
    helper = make_run("uniform", tmp_path)[1]
    own = evaluate(report.model, None, helper).top1
    assert report.after.top1 is not None
    assert own is not None
    assert report.after.top1 < own - 0.1
    # the artefact itself is plain
    assert {type(layer).__module__.partition(".")[0] for layer in report.model.layers} == {"keras"}
    assert any("activations of 1 bits" in note for note in report.notes)


def test_zeros_that_were_there_stay_in_training(
    trained_digits: keras.Model, tmp_path: pathlib.Path
) -> None:
    sparse = copied(trained_digits)
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
