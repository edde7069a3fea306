"""What `--model` and `--data` stand for."""

import pytest

import learners
from pipeline.short_form import PEEKED, expanded, is_short_form, learner_for
from utils import flags
from utils.errors import InputError


def told(*argv):
    """The arguments that are added, as a dict."""
    chosen = flags.peek(argv, dict.fromkeys(PEEKED))
    assert is_short_form(chosen)
    full = expanded(argv, chosen)
    assert full[: len(argv)] == list(argv)
    return dict(item.removeprefix("--").split("=", 1) for item in full[len(argv) :])


@pytest.fixture(autouse=True)
def network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my net.keras").write_text("")


def test_all_that_is_left_out():
    assert told("--model=my net.keras", "--data=photos", "--budget=flops:0.5") == {
        "learner": "chn-pruned-rmt",
        "pretrained_path": "my net.keras",
        "out_dir": "runs/my_net_flops_0.5",
    }


def test_what_is_given_stays():
    added = told("--model=my net.keras", "--data", "photos", "--learner=uniform", "--out_dir=here")
    assert added == {"pretrained_path": "my net.keras"}
    added = told("--model=my net.keras", "--data=photos", "--save_path_eval=a.keras")
    assert "out_dir" not in added


@pytest.mark.parametrize("name", learners.LEARNERS)
def test_a_learner_for_every_kind_of_budget(name):
    for kind in learners.LEARNERS[name].budgets:
        value = {"bits": "4", "latency": "0.5", "bytes": "0.5"}.get(kind, "0.5")
        assert kind in learners.LEARNERS[learner_for(f"{kind}:{value}")].budgets


def test_a_helper_is_no_short_form():
    chosen = flags.peek(["--model_helper=convnet_at_digits"], dict.fromkeys(PEEKED))
    assert not is_short_form(chosen)


def test_a_helper_that_takes_data_is_no_short_form():
    argv = ["--model_helper=imported", "--data=digits"]
    assert not is_short_form(flags.peek(argv, dict.fromkeys(PEEKED)))


def test_networks_of_other_frameworks(tmp_path):
    (tmp_path / "net.tflite").write_text("")
    added = told("--model=net.tflite", "--data=digits")
    assert added["pretrained_path"] == "net.tflite" and added["out_dir"] == "runs/net"
    with pytest.raises(InputError, match=r"`model`: there is no file 'nets.py'"):
        told("--model=nets.py:make", "--data=digits")
    with pytest.raises(InputError, match=r"`model` must end in .keras, .h5"):
        told("--model=net.txt", "--data=digits")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--model=my net.keras"], "needs data"),
        (["--data=digits"], "needs a network"),
        (["--model=gone.keras", "--data=digits"], "no file 'gone.keras'"),
        (["--model=my net.keras", "--data=digits", "--model_helper=x"], "--model_helper=x brings"),
    ],
)
def test_refused(argv, message):
    with pytest.raises(InputError, match=message):
        told(*argv)
