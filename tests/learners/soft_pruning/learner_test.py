import re

import keras
import numpy as np
import pytest

from tests.learners.filters import blocks
from tests.learners.runs import compress
from utils.errors import InputError
from utils.training import callbacks

FLAGS = {
    "sfp_thresholds": "0.62,0.56", "sfp_max_retrains": 1, "nb_epochs": "2", "lrn_rate_ft": 0.02,
    "save_step": 10, "seed": 3,
}  # fmt: skip


def started(trained_digits):
    model = keras.models.clone_model(trained_digits)
    model.set_weights(trained_digits.get_weights())
    return model


def widths(model):
    convolutions = [model.get_layer(name).filters for name in ("conv1", "conv2", "conv3")]
    return [*convolutions, model.get_layer("fc1").units]


@pytest.fixture(scope="module")
def whole(trained_digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return compress("soft-pruned", folder, started(trained_digits), **FLAGS)


def test_redundant_filters_are_cut_in_the_end(whole, trained_digits):
    pruned = np.array(widths(whole.model))
    assert (pruned < widths(trained_digits)).any()
    assert (pruned >= 1).all()
    assert whole.after.params < whole.before.params
    assert whole.after.top1 > whole.before.top1 - 0.05


def test_each_threshold_is_trained_for(whole):
    stages = list(dict.fromkeys(point.stage for point in whole.training))
    assert stages[:2] == ["soft-pruned: retrain_1", "soft-pruned: retrain_2"]
    assert 2 <= len(stages) <= 4
    assert "strip" in whole.seconds


def test_the_report_says_what_came_of_it(whole):
    text = " ".join(whole.notes)
    assert "no inverted-residual and no squeeze-and-excite block: filters of all inner" in text
    assert "soft pruning: " in text and " filters were zero in the end and are cut; " in text


def test_killed_in_its_second_training_it_ends_with_the_same_bits(
    whole, trained_digits, tmp_path, monkeypatch
):
    count, passed = callbacks.Recorder.on_train_batch_end, []

    def interrupted(self, batch, logs=None):
        passed.append(0)
        if len(passed) == 35:
            raise KeyboardInterrupt
        count(self, batch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Recorder, "on_train_batch_end", interrupted)
        with pytest.raises(KeyboardInterrupt):
            compress("soft-pruned", tmp_path, started(trained_digits), **FLAGS)
    resumed = compress("soft-pruned", tmp_path, started(trained_digits), **FLAGS)
    assert widths(resumed.model) == widths(whole.model)
    for one, other in zip(resumed.model.weights, whole.model.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_filters_come_back_while_it_is_trained(trained_digits, tmp_path):
    """Every five steps it is decided anew; scopes restrict it."""
    report = compress(
        "soft-pruned", tmp_path, started(trained_digits), sfp_thresholds="0.56",
        sfp_max_retrains=0, sfp_scope_names="conv2,fc1", sfp_frequency=5, nb_epochs="1",
        lrn_rate_ft=0.1, seed=3,
    )  # fmt: skip
    found = widths(report.model)
    assert found[0] == 32 and found[2] == 64
    assert found[1] < 64 and found[3] < 64
    times = re.search(r"are cut; (\d+) times one came back", " ".join(report.notes))
    assert times is not None and int(times[1]) > 0


def test_of_a_mobile_network_the_inner_channels_of_blocks(tmp_path):
    model = blocks.mobile(squeeze=True, shape=(8, 8, 1), classes=10)
    report = compress(
        "soft-pruned", tmp_path, model, sfp_thresholds="0.6", sfp_max_retrains=0, nb_epochs="0.2"
    )
    names = [layer.name for layer in model.layers if hasattr(layer, "filters")]
    cut = {n for n in names if report.model.get_layer(n).filters < model.get_layer(n).filters}
    assert (
        {"one_expand", "two_expand"}
        <= cut
        <= {"one_expand", "two_expand", "two_squeeze"}
        | {
            "two_excite"  # as wide as what it multiplies
        }
    )
    assert len(report.notes) == 1  # none about missing blocks


def test_a_filter_that_no_layer_can_do_without_stays(tmp_path):
    """The last layer has no bias: what the batch norm makes of a zero filter has nowhere to go."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Dense(16, use_bias=False, name="first")(keras.layers.Flatten()(inputs))
    norm = keras.layers.BatchNormalization(name="norm", beta_initializer="ones")
    x = keras.layers.Dense(10, use_bias=False, name="last")(norm(x))
    report = compress(
        "soft-pruned", tmp_path, keras.Model(inputs, x), sfp_thresholds="0.52", nb_epochs="0"
    )
    assert report.model.get_layer("first").units == 16
    text = " ".join(report.notes)
    assert re.search(r"\d+ filters that are zero stay, of first: what they still give", text)
    assert " filters were zero in the end and 0 are cut; " in text


def test_nothing_redundant_is_said(trained_digits, tmp_path):
    report = compress(
        "soft-pruned", tmp_path, started(trained_digits), sfp_thresholds="0.99", nb_epochs="0"
    )
    assert widths(report.model) == widths(trained_digits)
    assert "soft pruning: no filter was redundant, lower --sfp_thresholds; " in report.notes[-1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sfp_thresholds": "0.5,0.7"}, r"`sfp_thresholds` must be numbers in \(0, 1\)"),
        ({"sfp_scope_names": "cnov"}, r"`sfp_scope_names`: no layer .* has 'cnov' in its name\."),
    ],
)
def test_wrong_flags_are_refused_before_training(trained_digits, tmp_path, values, message):
    with pytest.raises(InputError, match=message):
        compress(
            "chn-pruned-rmt,soft-pruned", tmp_path, started(trained_digits), nb_epochs="0", **values
        )
    assert not list(tmp_path.glob("**/*.keras"))
