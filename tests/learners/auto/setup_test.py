"""What a run works with: images that do not overlap, budgets that follow from channels."""

import dataclasses

import numpy as np
import pytest

from learners.auto.config import AutoConfig, GoalConfig
from learners.auto.setup import Setup, places_of, width_budget
from learners.budget import parse_budget
from learners.context import StageContext
from tests.learners import networks
from tests.learners.runs import make_run
from utils.errors import InputError
from utils.graph import from_keras


def setup_of(tmp_path, model, budget=None, **values):
    plan, helper = make_run("auto", tmp_path, **values)
    context = StageContext(
        run=plan.run,
        stage=plan.stages[0],
        helper=helper,
        log_dir=plan.log_dir,
        budget=None if budget is None else parse_budget(budget),
    )
    return Setup(context, model)


def test_statistics_errors_and_decisions_have_images_of_their_own(tmp_path, model):
    setup = setup_of(tmp_path, model, auto_nb_smpls=64, auto_nb_smpls_check=50)
    assert setup.held_out
    assert setup.context.holds_out
    parts = [
        np.concatenate([np.asarray(batch) for batch in setup.sampler().batches]),
        np.concatenate([np.asarray(batch) for batch in setup.others() or []]),
        np.concatenate([np.asarray(batch) for batch, _ in setup._images]),
    ]
    assert len(parts[0]) == 64
    assert len(parts[2]) == 50
    keys = [{image.tobytes() for image in part} for part in parts]
    assert not keys[0] & keys[2]
    assert len(keys[0] & keys[1]) <= 1  # digits may be alike to the last pixel


def test_goals(tmp_path, model):
    setup = setup_of(tmp_path, model)
    offer = setup.offer()
    assert offer.kind == "fpq"  # no .tflite file is written in tests
    assert (setup.goal(offer).max_drop, setup.goal(offer).text) == (0.5, "max_drop:0.5")
    asked = setup_of(tmp_path, model, "bytes:0.25,flops:0.5", max_drop=2.0).goal(offer)
    assert asked.max_bytes == 0.25 * 4 * model.count_params()
    assert (asked.max_drop, asked.text) == (2.0, "bytes:0.25,flops:0.5,max_drop:2")
    alone = setup_of(tmp_path, model, "bytes:20kB").goal(offer)
    assert (alone.max_drop, alone.max_bytes) == (None, 20_000.0)


def test_budgets_that_channels_meet(places):
    config = AutoConfig(goal=GoalConfig())
    assert width_budget(places, config, None) is None
    assert width_budget(places, config, parse_budget("bytes:0.5")) is None
    found = width_budget(places, config, parse_budget("bytes:0.5,flops:0.5"))
    assert found is not None
    assert found.budget.kinds == ("flops",)
    with pytest.raises(InputError, match="cannot be met: this network can keep flops between"):
        width_budget(places, config, parse_budget("flops:0.001"))


def test_what_narrower_streams_would_reach_is_said():
    config = AutoConfig(goal=GoalConfig())
    places = places_of(from_keras(networks.residual()), config)
    words = r"cannot be met.*--auto_residual=joint, which reaches flops:0\.\d+ \("
    with pytest.raises(InputError, match=words):
        width_budget(places, config, parse_budget("flops:0.001"))
    nowhere = dataclasses.replace(places, groups=())
    with pytest.raises(InputError, match=rf"no channels of .* can go.*{words[17:]}"):
        width_budget(nowhere, config, parse_budget("flops:0.5"))
