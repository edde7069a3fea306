"""The learner on a small network: what each mode trains, where it begins."""

import numpy as np
import pytest

from tests.learners.low_bits.learner_test import copied, kernels_of
from tests.learners.runs import TWO_STEPS, compress
from utils import weight_facts
from utils.quantization.packed import load_packed


def run(network, folder, **values):
    own = {"nb_epochs": TWO_STEPS, "lrn_rate_ft": 0.05, "nuql_weight_bits": 2,
           "nuql_rounding": "nearest", **values}  # fmt: skip
    return compress("non-uniform", folder, copied(network), **own)


@pytest.fixture(scope="module")
def rounded(narrow_digits, tmp_path_factory):
    return run(narrow_digits, tmp_path_factory.mktemp("rounded"), nb_epochs="0")


def test_without_training_the_network_has_its_bits_and_nearly_its_accuracy(
    rounded, narrow_digits, tmp_path
):
    report = run(narrow_digits, tmp_path, nb_epochs="0", nuql_rounding="obq")
    found = [weight_facts.bits([kernel]) for kernel in kernels_of(report.model)]
    assert max(found[1:-1]) <= 2
    assert found[-1] <= 8
    assert report.after.top1 > max(rounded.after.top1, report.before.top1 - 0.1)
    facts = [row.facts for row in report.layers if "bits" in row.facts]
    assert [each["bits"] for each in facts] == [8, *[2] * (len(facts) - 2), 8]
    assert {each["granularity"] for each in facts} == {"layer"}


@pytest.mark.parametrize("mode", ["clusters", "both"])
def test_codebooks_move_and_weights_stay_with_theirs_or_not(mode, rounded, narrow_digits, tmp_path):
    report = run(narrow_digits, tmp_path, nuql_opt_mode=mode)
    pairs = list(zip(kernels_of(rounded.model), kernels_of(report.model), strict=True))[1:-1]
    for before, after in pairs:
        assert not np.isin(np.unique(after), before).all()
        assert np.unique(after).size <= 4
        clusters = np.unique(before, return_inverse=True)[1]
        if mode == "clusters":
            assert all(np.unique(after.ravel()[clusters.ravel() == c]).size == 1 for c in range(4))


def test_mode_weights_leaves_the_codebooks_as_they_are(rounded, narrow_digits, tmp_path):
    report = run(narrow_digits, tmp_path, lrn_rate_ft=1.0)
    pairs = list(zip(kernels_of(rounded.model), kernels_of(report.model), strict=True))[1:-1]
    assert any((before != after).any() for before, after in pairs)
    for before, after in pairs:
        assert np.isin(after, before).all()


def test_zeros_and_codebooks_of_a_sparse_network_are_in_the_packed_file(narrow_digits, tmp_path):
    compress(
        "weight-sparse,non-uniform", tmp_path, copied(narrow_digits), nb_epochs="0,0",
        ws_prune_ratio=0.6, ws_criterion="magnitude", ws_prune_ratio_prtl="uniform",
        nuql_rounding="nearest", nuql_weight_bits=3, tflite="none",
    )  # fmt: skip
    (path,) = tmp_path.rglob("model.fpq")
    kernels = kernels_of(load_packed(path))
    zeros = sum(int((kernel == 0).sum()) for kernel in kernels)
    assert zeros >= 0.95 * 0.6 * sum(kernel.size for kernel in kernels)
    assert max(np.unique(kernel).size for kernel in kernels[1:-1]) <= 8
