"""Flags: what is refused before TensorFlow, and what follows from them."""

import subprocess
import sys

import pytest

from learners.auto.config import USUAL_DROP, AutoConfig, GoalConfig
from learners.config import RunConfig
from utils import flags
from utils.errors import InputError


def test_the_goal_has_no_prefix_and_all_else_has():
    names = [spec.name for spec in flags.describe(AutoConfig)]
    assert "max_drop" in names
    assert all(name == "max_drop" or name.startswith("auto_") for name in names)


def test_without_anything_half_a_point():
    assert AutoConfig().max_drop(None) == USUAL_DROP
    assert AutoConfig().max_drop("bytes:0.1") is None
    asked = AutoConfig(goal=GoalConfig(max_drop=2.0))
    assert asked.max_drop("bytes:0.1") == asked.max_drop(None) == 2.0


@pytest.mark.parametrize("value", [-1.0, 101.0])
def test_a_drop_that_cannot_be(value):
    with pytest.raises(InputError, match="`max_drop` must be"):
        flags.build(AutoConfig, {"max_drop": value})


def test_patterns_that_cannot_be_read():
    with pytest.raises(InputError, match="`auto_patterns` must be dense, element or N:4"):
        AutoConfig(patterns="blocks")


def test_a_setting_says_everything_itself():
    config = AutoConfig(goal=GoalConfig(max_drop=1.0))
    with pytest.raises(InputError, match="--setting and --max_drop contradict"):
        config.check_run(RunConfig(setting="it.json"), counts_given=True, num_epochs=0)


@pytest.mark.parametrize("way", ["flag", "launcher"])
def test_one_process(monkeypatch, way):
    if way == "launcher":
        monkeypatch.setenv("HOROVOD_SIZE", "2")
    run = RunConfig(enbl_multi_gpu=way == "flag")
    with pytest.raises(InputError, match="runs in one process"):
        AutoConfig().check_run(run, counts_given=False, num_epochs=0)


def test_the_decoded_file_is_written_for_targets_that_run_it():
    pytest.importorskip("tflite_micro", reason="the package of the extra `tflm` is not installed")
    assert AutoConfig().files_for("tflm") == AutoConfig().files_for("cortex-m") == ("tflm",)
    assert AutoConfig().files_for("litert") == AutoConfig().files_for(None) == ()


def test_it_distils_from_the_network_before():
    own = AutoConfig().own_teacher()
    assert own is not None
    assert own.path is None


def test_flags_of_distillation_need_no_switch():
    classes = [RunConfig, AutoConfig]
    run = flags.build_all(classes, {"loss_w_hint": 10.0})[RunConfig]
    assert (run.distillation.enbl_dst, run.distillation.loss_w_hint) == (True, 10.0)
    assert not flags.build_all(classes, {})[RunConfig].distillation.enbl_dst


def test_flags_load_no_tensorflow():
    code = "import sys, learners.auto.config; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
