import dataclasses

import pytest

from learners.budget import parse_budget
from learners.context import StageContext
from learners.setting import Setting
from tests.learners.runs import make_run

BOTH = "full-prec,chn-pruned-rmt"


def decisive(stage, tmp_path, teacher=None, **values):
    """The flags that decide one stage of a run of both learners."""
    plan, helper = make_run(BOTH, tmp_path, **values)
    context = StageContext(
        run=plan.run,
        stage=plan.stages[stage],
        helper=helper,
        budget=plan.budget_of(plan.stages[stage]),
        log_dir=plan.log_dir,
        teacher=teacher,
    )
    return context.decisive_flags()


@pytest.mark.parametrize(
    ("values", "stages"),
    [
        ({"cpr_prune_ratio": 0.25}, [1]),
        ({"budget": "flops:0.5"}, [1]),
        ({"lrn_rate_ft": 0.5}, [1]),
        ({"optimizer_ft": "muon"}, [1]),
        ({"enbl_warm_start": True}, [0]),
        ({"lrn_rate_init": 0.5}, [0, 1]),
        ({"seed": 5}, [0, 1]),
        ({"model_helper": "resnet_at_cifar10"}, [0, 1]),
        ({"ddpg_tau": 0.5, "metric": "accuracy", "metric_mode": "max"}, []),
        ({"loss_w_dst": 1.0}, []),  # no teacher
        ({"tflite": "int8"}, []),
        ({"save_step": 3, "log_dir": "x", "nb_epochs": "2", "nb_threads": 2}, []),
        ({"cpr_save_path": "x.keras", "cpr_lstsq_nb_iters": 7}, []),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_which_stages_a_flag_decides(values, stages, tmp_path):
    changed = [
        stage
        for stage in (0, 1)
        if decisive(stage, tmp_path, **values) != decisive(stage, tmp_path)
    ]
    assert changed == stages


def test_distillation_and_agents_decide_where_they_are_used(tmp_path):
    def names(stage, **options):
        values = decisive(stage, tmp_path, **options)
        return {name for name, value in values.items() if value is not None}

    teacher = object()
    assert not {"enbl_dst", "loss_w_dst", "ddpg_tau"} & names(1)
    assert {"enbl_dst", "loss_w_dst"} <= names(1, teacher=teacher, enbl_dst=True)
    searched = {"cpr_search": True, "budget": "flops:0.5"}
    assert "ddpg_tau" in names(1, **searched)
    assert "ddpg_tau" not in names(0, **searched)


def test_the_temperature_that_is_used_decides(tmp_path):
    """Left out, it is that of a student of 32 bits."""
    values = [
        decisive(1, tmp_path, teacher=object(), enbl_dst=True, **options)["tempr_dst"]
        for options in ({}, {"tempr_dst": 4.0}, {"tempr_dst": 2.0})
    ]
    assert values == [4.0, 4.0, 2.0]


def test_a_temperature_that_is_given_goes_before_the_learners_own(tmp_path):
    def temperature(**values):
        plan, helper = make_run("full-prec,auto", tmp_path, **values)
        stage = plan.stages[1]
        return StageContext(
            run=plan.run, stage=stage, helper=helper, log_dir=plan.log_dir
        ).temperature

    assert temperature() == 2.0
    assert temperature(enbl_dst=True) == 2.0
    assert temperature(enbl_dst=True, tempr_dst=3.0) == 3.0


def test_the_budget_of_a_stage_decides_it(tmp_path):
    plan, helper = make_run("chn-pruned-rmt", tmp_path, budget="flops:0.5,params:0.6")
    context = StageContext(
        run=plan.run, stage=plan.stages[0], helper=helper, log_dir=plan.log_dir
    )  # fmt: skip
    assert context.decisive_flags()["budget"] is None
    own = dataclasses.replace(context, budget=parse_budget("params:0.6"))
    assert own.decisive_flags()["budget"] == "params:0.6"


@pytest.mark.parametrize(
    ("values", "bits", "temperature"),
    [
        ({}, 4, 2.0),
        ({"uql_weight_bits": 8}, 8, 4.0),
        ({"budget": "bits:2"}, 2, 1.0),
        ({"budget": "bits:2", "uql_enbl_rl_agent": True}, 2, 1.0),
        ({"uql_equivalent_bits": 3, "uql_enbl_rl_agent": True}, 3, 1.0),
    ],
    ids=str,
)
def test_the_temperature_is_that_of_the_bits(values, bits, temperature, tmp_path):
    plan, helper = make_run("full-prec,uniform", tmp_path, **values)
    stage = plan.stages[1]
    context = StageContext(
        run=plan.run,
        stage=stage,
        helper=helper,
        budget=plan.budget_of(stage),
        log_dir=plan.log_dir,
    )
    assert (context.student_bits, context.temperature) == (bits, temperature)
    network, chosen = {"a": 100, "b": 300}, {"a": 8, "b": 2}
    setting = Setting(quantity="bits", network=network, values=chosen)
    ruled = dataclasses.replace(context, budget=None, setting=setting)
    assert ruled.student_bits == round((8 + 3 * 2) / 4)
