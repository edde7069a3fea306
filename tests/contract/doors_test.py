"""A learner of one folder and one row goes through every shared door, see `throw_away`."""

import contextlib

import ai_edge_litert.interpreter as litert
import keras
import numpy as np
import pytest

import learners
from learners.setting import read_setting
from tests.contract.throw_away import learner as throw_away
from tests.learners.runs import compress
from utils.graph import copy_network

ROW = learners.Entry(
    "tests.contract.throw_away.learner:ThrowAwayLearner",
    "tests.contract.throw_away.config:ThrowAwayConfig",
    "goes through every door",
    starts="trained",
    ends_before=True,
    quantity="bits",
    budgets=("bits", "bytes"),
)
SEARCH = {
    "ta_search": True, "budget": "bits:0.5", "agent": "random", "ta_nb_rlouts": 6,
    "ta_nb_smpls_search": 50, "ta_nb_rlouts_min": 6,
}  # fmt: skip


class KilledError(BaseException):
    """Stands for a kill: nothing after it is done."""


@pytest.fixture(autouse=True)
def row(monkeypatch):
    monkeypatch.setitem(learners.LEARNERS, "throw-away", ROW)
    throw_away.hooks.clear()
    yield
    throw_away.hooks.clear()


def run(folder, model, learner="throw-away", **values):
    own = copy_network(model, allow_unsafe=False)  # a recipe may train what it is given
    keras.utils.set_random_seed(0)  # as a new process begins
    flags = {"save_step": 1, "nb_epochs": "0.2", **values}
    return compress(learner, folder, own, rehearsed=True, **flags)


@contextlib.contextmanager
def killed(place, at):
    """Kill at the `at`-th time that a place is passed."""
    passed = []

    def count(*_):
        passed.append(0)
        if len(passed) == at:
            raise KilledError

    throw_away.hooks[place] = count
    with pytest.raises(KilledError):
        yield
    throw_away.hooks.clear()


def weights(report):
    return report.model.get_weights()


def assert_same(first, second):
    for one, other in zip(weights(first), weights(second), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def whole(trained_digits, tmp_path_factory):
    """The run that nothing disturbs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(learners.LEARNERS, "throw-away", ROW)
        return run(tmp_path_factory.mktemp("whole"), trained_digits, tflite="float32")


@pytest.fixture(scope="module")
def searched(trained_digits, tmp_path_factory):
    """The search that nothing disturbs: its folder and report."""
    folder = tmp_path_factory.mktemp("searched")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(learners.LEARNERS, "throw-away", ROW)
        return folder, run(folder, trained_digits, **SEARCH)


def test_three_fits_each_with_its_own_history(whole):
    assert {"head", "own", "rounded"} <= whole.seconds.keys()
    stages = list(dict.fromkeys(point.stage for point in whole.training))
    assert stages == ["throw-away: head", "throw-away: own", "throw-away: rounded"]
    assert "head" in whole.training[0].others  # the term's value, beside the loss


def test_the_artefact_is_plain_and_on_the_grid(whole, tmp_path):
    path = tmp_path / "plain.keras"
    whole.model.save(path)
    plain = keras.models.load_model(path)  # no class of ours is needed
    for name in ("conv1", "conv2", "conv3", "fc1", "fc2"):
        assert np.unique(np.array(plain.get_layer(name).kernel)).size <= 2**6 - 1
    assert {
        row.name: row.facts["chosen_bits"] for row in whole.layers if row.facts
    } == dict.fromkeys(("conv1", "conv2", "conv3", "fc1", "fc2"), 6)


def test_the_file_is_that_of_the_deployed_network(whole):
    """An interpreter of the test's own gives what the network with rounded kernels does."""
    file = whole.file("float32")
    interpreter = litert.Interpreter(model_path=file.path)
    interpreter.allocate_tensors()
    (given,), (wanted,) = interpreter.get_input_details(), interpreter.get_output_details()
    image = np.random.default_rng(0).normal(size=(1, 8, 8, 1)).astype(np.float32)
    interpreter.set_tensor(given["index"], image)
    interpreter.invoke()
    np.testing.assert_allclose(
        interpreter.get_tensor(wanted["index"]), whole.model(image, training=False), atol=1e-4
    )


def test_killed_in_its_second_fit_it_ends_with_the_same_bits(whole, trained_digits, tmp_path):
    with killed("second fit", 3):
        run(tmp_path, trained_digits)
    assert_same(run(tmp_path, trained_digits), whole)


def test_it_chooses_bits_by_search(searched, trained_digits):
    folder, report = searched
    (search,) = report.searches
    assert (search.quantity, len(search.rollouts)) == ("bits", 6)
    setting = read_setting(folder / "bits.json", "bits")
    sizes = {name: trained_digits.get_layer(name).kernel.shape for name in setting.values}
    counts = {name: np.prod(shape) for name, shape in sizes.items()}
    used = sum(counts[name] * bits for name, bits in setting.values.items()) / sum(counts.values())
    assert 3.5 < used <= 4.1
    for name, bits in setting.values.items():
        kernel = np.array(report.model.get_layer(name).kernel)
        assert np.unique(kernel).size <= 2**bits - 1


def test_killed_in_its_search_it_ends_with_the_same_bits(searched, trained_digits, tmp_path):
    with killed("search", 3):
        run(tmp_path, trained_digits, **SEARCH)
    assert_same(run(tmp_path, trained_digits, **SEARCH), searched[1])


def sparse(model):
    """Every second entry of the kernels is exactly zero."""
    copy = copy_network(model, allow_unsafe=False)
    for layer in throw_away.kernels_of(copy):
        kernel = np.array(layer.kernel)
        kernel.reshape(-1)[::2] = 0.0
        layer.kernel.assign(kernel)
    return copy


def test_as_a_second_stage_it_keeps_the_zeros_of_the_first(trained_digits, tmp_path):
    given = sparse(trained_digits)
    report = run(
        tmp_path, given, "full-prec,throw-away", nb_epochs="0.2,0.2", tflite="float32",
        lrn_rate_init=0.02,
    )  # fmt: skip
    for layer in throw_away.kernels_of(report.model):
        kernel, before = np.array(layer.kernel), np.array(given.get_layer(layer.name).kernel)
        assert np.count_nonzero(kernel) and not kernel[before == 0].any()
        assert not np.array_equal(kernel, before)  # it was trained
    tensors = read_tensors(report.file("float32").path)
    (filters,) = (
        array
        for array in tensors
        if array.shape == (10, report.model.get_layer("fc2").kernel.shape[0])
    )
    wanted = np.array(report.model.get_layer("fc2").kernel).T
    np.testing.assert_array_equal(filters[wanted == 0], 0.0)


def read_tensors(path):
    """All constant tensors of a file, by an interpreter of our own."""
    interpreter = litert.Interpreter(model_path=path)
    interpreter.allocate_tensors()
    found = []
    for details in interpreter.get_tensor_details():
        with contextlib.suppress(ValueError):
            found.append(interpreter.get_tensor(details["index"]))
    return found


def test_a_kind_of_budget_that_it_cannot_meet_is_refused(trained_digits, tmp_path):
    with pytest.raises(ValueError, match=r"`budget`.*flops.*throw-away.*bits"):
        run(tmp_path, trained_digits, **{**SEARCH, "budget": "flops:0.5"})
