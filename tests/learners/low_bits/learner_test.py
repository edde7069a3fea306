"""The recipe on a small network: what it leaves, with activations, zeros, nothing to train."""

import pathlib
from typing import Any

import keras
import numpy as np
import pytest

from tests.learners.runs import TWO_STEPS, compress
from utils import weight_facts
from utils.report import Report


def copied(network: keras.Model) -> keras.Model:
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


def run(network: keras.Model, folder: pathlib.Path, **values: Any) -> Report:
    own = {"nb_epochs": "0", "uql_use_buckets": True, "uql_weight_bits": 3, **values}
    return compress("uniform", folder, copied(network), **own)


def kernels_of(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(w) for w in model.weights if w.name == "kernel"]


@pytest.mark.parametrize("epochs", ["0", TWO_STEPS])
def test_weights_lie_on_grids_of_their_bits(
    trained_digits: keras.Model, tmp_path: pathlib.Path, epochs: str
) -> None:
    report = run(trained_digits, tmp_path, nb_epochs=epochs)
    found = [weight_facts.bits([kernel]) for kernel in kernels_of(report.model)]
    assert max(found[1:-1]) <= 3
    assert found[-1] <= 8  # nine weights of a channel are too few to tell 8 bits by
    rows = {row.name: row for row in report.layers if "bits" in row.facts}
    assert [row.facts["bits"] for row in rows.values()] == [8, *[3] * (len(rows) - 2), 8]
    assert {row.facts["granularity"] for row in rows.values()} == {"output channel"}
    assert all(0 <= row.facts["error"] < 0.2 for row in rows.values())


def test_moments_are_worth_their_while(trained_digits: keras.Model, tmp_path: pathlib.Path) -> None:
    reports = {
        rounding: run(trained_digits, tmp_path / rounding, uql_weight_bits=2, uql_rounding=rounding)
        for rounding in ("obq", "nearest")
    }
    tops = {name: report.after.top1 for name, report in reports.items()}
    assert tops["obq"] > tops["nearest"]
    assert tops["obq"] > reports["obq"].before.top1 - 0.05


def test_the_accuracy_is_that_with_quantized_activations(
    trained_digits: keras.Model, tmp_path: pathlib.Path
) -> None:
    coarse = run(trained_digits, tmp_path / "coarse", uql_activation_bits=1, uql_weight_bits=8)
    whole = run(trained_digits, tmp_path / "whole", uql_weight_bits=8)
    assert coarse.after.top1 < whole.after.top1
    # the artefact itself is plain
    assert {type(layer).__module__.partition(".")[0] for layer in coarse.model.layers} == {"keras"}


def test_zeros_that_were_there_stay(trained_digits: keras.Model, tmp_path: pathlib.Path) -> None:
    sparse = copied(trained_digits)
    rng = np.random.default_rng(0)
    masks = []
    for weight in sparse.weights:
        if weight.name == "kernel":
            masks.append(rng.random(weight.shape) < 0.5)
            weight.assign(weight * masks[-1])
    report = run(sparse, tmp_path, nb_epochs=TWO_STEPS)
    for kernel, mask in zip(kernels_of(report.model), masks, strict=True):
        assert not kernel[~mask].any()
