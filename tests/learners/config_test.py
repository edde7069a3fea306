import pytest

from learners.config import DistillationConfig, RunConfig
from utils import flags
from utils.errors import InputError


def test_stages():
    assert RunConfig().stages() == ["full-prec"]
    assert RunConfig(learner="full-prec, chn-pruned-rmt").stages() == [
        "full-prec",
        "chn-pruned-rmt",
    ]


@pytest.mark.parametrize(
    ("learner", "nb_epochs", "epochs"),
    [
        ("a", None, [None]),
        ("a,b", None, [None, None]),
        ("a", "3", [3.0]),
        ("a", "0", [0.0]),
        ("a", "0.25", [0.25]),
        ("a,b", "2", [2.0, 2.0]),
        ("a,b", "3, 0.5", [3.0, 0.5]),
    ],
)
def test_epochs_of_each_stage(learner, nb_epochs, epochs):
    assert RunConfig(learner=learner, nb_epochs=nb_epochs).epochs() == epochs


@pytest.mark.parametrize("nb_epochs", ["-1", "nan", "inf", "many", "", "1,,2", "1,-1"])
def test_epochs_that_are_no_numbers(nb_epochs):
    with pytest.raises(InputError, match=r"`nb_epochs` must be a number >= 0.* Received: '"):
        RunConfig(learner="a,b", nb_epochs=nb_epochs).epochs()


def test_wrong_number_of_epochs():
    message = r"`nb_epochs` must be one number or one per stage \(2\). Received: '1,2,3'."
    with pytest.raises(InputError, match=message):
        RunConfig(learner="a,b", nb_epochs="1,2,3").epochs()


def test_documented_names_and_defaults():
    values = flags.flag_values(RunConfig())
    documented = {
        "learner": "full-prec",
        "exec_mode": "train",
        "debug": False,
        "save_path": "./models/model.keras",
        "save_path_eval": "./models_eval/model.keras",
        "log_dir": "./logs",
        "summ_step": None,
        "save_step": 10000,
        "enbl_dst": False,
        "loss_w_dst": 4.0,
        "teacher_path": None,
        "tempr_dst": None,  # 4 for a student of 32 bits
        "loss_w_hint": 0.0,
        "save_path_dst": "./models_dst/model.keras",
        "enbl_warm_start": False,
        "enbl_multi_gpu": False,
        "model_http_url": None,
    }
    assert {name: values[name] for name in documented} == documented


@pytest.mark.parametrize(
    ("bits", "temperature"), [(32, 4.0), (8, 4.0), (5, 4.0), (4, 2.0), (3, 1.0), (2, 1.0), (1, 1.0)]
)
def test_temperature_by_bits(bits, temperature):
    assert DistillationConfig().temperature(bits) == temperature
    assert DistillationConfig(tempr_dst=3.0).temperature(bits) == 3.0


def test_shares_of_teachers():
    assert DistillationConfig().shares(4) == (0.25,) * 4
    assert DistillationConfig(teacher_weights="3, 1").shares(2) == (0.75, 0.25)


@pytest.mark.parametrize("weights", ["1", "1,2,3", "1,0", "1,-1", "1,nan", "a,b", "1,", ""])
def test_weights_that_are_none(weights):
    message = r"`teacher_weights` must be 2 positive numbers .* Received: '"
    with pytest.raises(InputError, match=message):
        DistillationConfig(teacher_weights=weights).shares(2)


@pytest.mark.parametrize("text", ["a:b:c", ":a", "a:", "a,,b", ","])
def test_pairs_that_are_none(text):
    with pytest.raises(InputError, match=r"`dst_layers` must be student:teacher pairs"):
        DistillationConfig(dst_layers=text).layer_pairs()


def test_no_teachers_without_a_flag():
    assert DistillationConfig().teacher_files() == ()
    assert DistillationConfig().layer_pairs() == ()
