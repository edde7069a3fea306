"""Another run in the same folder: what it shares is taken, the rest is named or made anew."""

import pathlib
import shutil

import keras
import numpy as np
import pytest

from tests.users.small import BOTH, last_line, report, run, write_helper
from utils.training import callbacks


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of two stages, in the folder `out` beside its helper."""
    root = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        write_helper()
        assert run(*BOTH, "--cpr_prune_ratio=0.5") == 0
    return root


@pytest.fixture
def again(finished, folder):
    """A copy of it, to run in."""
    shutil.copytree(finished, folder, dirs_exist_ok=True)
    return folder


def weights(path):
    return keras.saving.load_model(path, compile=False).get_weights()


def filters(path="out/model.keras"):
    return keras.saving.load_model(path, compile=False).get_layer("conv1").filters


def assert_equal(one, other):
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("flags", "words", "kept"),
    [
        (["--cpr_prune_ratio=0.25"], "--cpr_prune_ratio was 0.5, is 0.25", 3),
        (["--budget=flops:0.9"], "--budget was left out, is flops:0.9", 4),
        (["--cpr_prune_ratio=0.5", "--lrn_rate_ft=0.02"], "--lrn_rate_ft was 0.01, is 0.02", 2),
        (["--cpr_prune_ratio=0.5", "--nb_epochs=1,2"], "--nb_epochs was left out, is 2.0", 2),
    ],
    ids=["ratio", "budget", "rate", "epochs"],
)
def test_a_later_stage_is_made_anew_and_the_first_one_taken(flags, words, kept, again, capfd):
    trained = weights("out/model_1_full_prec.keras")
    assert run(*BOTH, *flags) == 0
    shown = capfd.readouterr().err
    assert f"note: chn-pruned-rmt is made anew: {words}." in shown
    assert "full-prec: already done" in shown
    assert_equal(weights("out/model_1_full_prec.keras"), trained)
    assert filters() == kept
    assert report()["before"]["top1"] is not None


def test_what_was_made_anew_is_resumed_like_any_other(again, capfd, monkeypatch):
    flags = [*BOTH, "--cpr_prune_ratio=0.25", "--save_step=1"]
    count = callbacks.Recorder.on_train_batch_end

    def interrupted(self, batch, logs=None):
        if self.step == 2:
            raise KeyboardInterrupt
        count(self, batch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Recorder, "on_train_batch_end", interrupted)
        assert run(*flags) == 130
    capfd.readouterr()
    assert run(*flags) == 0
    shown = capfd.readouterr().err
    assert "resumed at step 2" in shown
    assert "made anew" not in shown
    resumed = weights("out/model.keras")
    assert run(*flags, "--out_dir=fresh") == 0
    assert_equal(weights("fresh/model.keras"), resumed)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--lrn_rate_init=0.02"], "--lrn_rate_init was 0.01, is 0.02"),
        (["--seed=1"], "--seed was 0, is 1"),
        (["--batch_size=4"], "--batch_size was 8, is 4"),
    ],
)
def test_another_first_stage_is_another_run(flags, words, again, capfd):
    before = pathlib.Path("out/model.keras").read_bytes()
    assert run(*BOTH, "--cpr_prune_ratio=0.5", *flags) == 2
    line = last_line(capfd)
    assert line == (
        f"out/state/1_full_prec.keras holds another run: {words}. Repeat the command with the old "
        "values to go on with it, or start anew with --resume=False or in another --out_dir."
    )
    assert pathlib.Path("out/model.keras").read_bytes() == before


def test_another_network_to_start_from_is_named(again, capfd):
    trained = pathlib.Path("out/model_1_full_prec.keras")
    shutil.copy(trained, "start.keras")
    prune = [*BOTH, "--learner=chn-pruned-rmt", "--pretrained_path=start.keras", "--out_dir=new"]
    assert run(*prune) == 0
    model = keras.saving.load_model(trained, compile=False)
    model.set_weights([2 * weight for weight in model.get_weights()])
    model.save("start.keras")
    capfd.readouterr()
    assert run(*prune) == 2
    wanted = "holds another run: the network it starts from is another one (start.keras changed). "
    assert wanted in last_line(capfd)
    shutil.copy(trained, "start.keras")
    assert run(*prune) == 0  # the old one goes on


def test_a_stage_that_was_stopped_half_way_is_not_thrown_away(folder, capfd, monkeypatch):
    write_helper()
    count = callbacks.Recorder.on_train_batch_end

    def interrupted(self, batch, logs=None):
        if self.model.network.get_layer("conv1").filters == 2:
            raise KeyboardInterrupt
        count(self, batch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Recorder, "on_train_batch_end", interrupted)
        assert run(*BOTH, "--cpr_prune_ratio=0.5") == 130
    state = pathlib.Path("out/state/2_chn_pruned_rmt.keras")
    before = state.read_bytes()
    capfd.readouterr()
    assert run(*BOTH, "--cpr_prune_ratio=0.25") == 2
    assert (
        f"{state} holds another run, which was stopped half way: --cpr_prune_ratio was 0.5, is 0.25"
        ". Repeat the command with the old values to go on with it, or remove "
        "out/state/2_chn_pruned_rmt* to make this stage anew; what came before is kept."
    ) == last_line(capfd)
    assert state.read_bytes() == before
    for path in pathlib.Path("out/state").glob("2_chn_pruned_rmt*"):
        path.unlink()
    assert run(*BOTH, "--cpr_prune_ratio=0.25") == 0
    assert filters() == 3
