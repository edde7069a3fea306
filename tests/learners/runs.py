"""Small runs on the embedded digits, in this process."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import keras

import learners
from learners.config import RunConfig
from nets import load_helper_class
from nets.abstract_model_helper import AbstractModelHelper
from pipeline import stages
from pipeline.plan import Plan, make_plan
from utils import flags
from utils.report import Report

# Enough to show that everything works, not enough to compress well.
QUICK = {
    "cpr_nb_smpls": 128,
    "cpr_nb_crops_per_smpl": 4,
    "cp_nb_batches": 2,
    "cp_nb_points_per_layer": 4,
    "cpg_nb_smpls": 128,
    "cpg_nb_crops_per_smpl": 4,
    "cpg_nb_iters_layer": 60,
    "cpg_lrn_rate_pgd_init": 1e-3,
    "dcp_nb_smpls": 128,
    "dcp_nb_iters_block": 2,
    "dcp_nb_iters_layer": 4,
    "uql_nb_smpls": 128,
    "uql_nb_crops_per_smpl": 4,
    "uqtf_nb_smpls": 128,
    "uqtf_nb_crops_per_smpl": 4,
    "nuql_nb_smpls": 128,
    "nuql_nb_crops_per_smpl": 4,
    "ws_nb_smpls": 128,
    "ws_nb_crops_per_smpl": 4,
    "tflite": "none",
    "nb_repts": 2,
    "nb_repts_warmup": 0,
    "nb_smpls_calib": 32,
}
TWO_STEPS = "0.09"  # of the 22 of an epoch


def make_run(learner: str, folder: pathlib.Path, **values: Any) -> tuple[Plan, AbstractModelHelper]:
    """Settle a run as the command line does; `values` by flag name."""
    helper_class = load_helper_class("convnet_at_digits")
    stage_classes = [learners.config_class(name) for name in learner.split(",")]
    values = {**QUICK, **flags.switched_on(stage_classes), **values}
    values |= {"learner": learner, "out_dir": str(folder)}

    def built(config_class: type) -> Any:
        names = {spec.name for spec in flags.describe(config_class)}
        return flags.build(config_class, {n: v for n, v in values.items() if n in names})

    plan = make_plan(
        built(RunConfig),
        [built(config_class) for config_class in stage_classes],
        starts_from_file="pretrained_path" in values,
    )
    return plan, helper_class(built(helper_class.config_class), seed=plan.run.seed)


@contextlib.contextmanager
def unrehearsed() -> Iterator[None]:
    """Leave out the rehearsal, which costs every run seconds; what learners refuse stays."""
    names = ("try_batches", "try_training", "try_files")
    with mock.patch.multiple(stages, **{name: lambda *arguments: None for name in names}):
        yield


def compress(
    learner: str,
    folder: pathlib.Path,
    model: keras.Model | None = None,
    *,
    rehearsed: bool = False,
    **values: Any,
) -> Report:
    """Run to the end, from a network or from fresh weights; rehearsed only where asked for."""
    plan, helper = make_run(learner, folder, **values)
    if model is None:
        model = stages.initial_network(plan, helper)
    with contextlib.nullcontext() if rehearsed else unrehearsed():
        return stages.compress(plan, helper, model)
