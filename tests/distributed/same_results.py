"""A program for one worker or several: small runs of several learners, what they left in files.

`PYTHONPATH=. python tests/distributed/same_results.py FOLDER` writes FOLDER/<run>.npz (the
resulting weights) and FOLDER/<run>.json (losses). All runs take 64 images a step.
"""

import json
import pathlib
import sys

import keras
import numpy as np

from pipeline import stages
from pipeline.workers import joined
from tests.learners.runs import make_run
from utils.horovod_calls import launched_size
from utils.multi_gpu_wrapper import MultiGpuWrapper, current
from utils.one_voice import one_voice
from utils.training import evaluate

GLOBAL_BATCH = 64
NUM_STEPS = 20
STEPS_PER_EPOCH = 22  # 1,438 images of digits

FROZEN = {  # in float64, batch norm as it is: equal but for the order of sums
    "full-prec": {},
    "chn-pruned-rmt": {"cpr_prune_ratio": 0.5},
    "weight-sparse": {"ws_prune_ratio": 0.5, "ws_prune_ratio_prtl": "uniform"},
}
SEARCH = {
    "cpr_search": True,
    "budget": "flops:0.5",
    "agent": "random",
    "cpr_nb_rlouts": 3,
    "cpr_nb_rlouts_min": 2,
    "cpr_nb_smpls_search": 128,
}


def network(helper, *, frozen):
    keras.utils.set_random_seed(5)
    model = helper.build_model()
    for layer in model.layers:
        if frozen and isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    return model


def run(name, learner, folder, *, frozen=False, epochs=NUM_STEPS / STEPS_PER_EPOCH, **values):
    plan, helper = make_run(
        learner,
        folder / name,
        nb_epochs=str(epochs),
        batch_size=GLOBAL_BATCH // launched_size(),
        **values,
    )
    workers = stages.start_workers(plan, helper)
    with joined(workers, plan, helper) as own:
        model = network(helper, frozen=frozen)
        outcome = stages.run_stages(own, helper, model, workers=workers)
    if workers.is_chief:
        np.savez(folder / f"{name}.npz", *outcome.after.model.get_weights())
        losses = [row["loss"] for row in outcome.stages[-1].history]
        (folder / f"{name}.json").write_text(json.dumps({"losses": losses}))


def scores(folder):
    """Score a network on all test images, in batches of which the last is smaller."""
    _, helper = make_run("full-prec", folder / "scores", batch_size_eval=50)
    found = evaluate(network(helper, frozen=False), None, helper)
    everywhere = current().gather(dict(found))
    assert all(each == everywhere[0] for each in everywhere)
    if current().is_chief:
        (folder / "scores.json").write_text(json.dumps(everywhere[0]))


def main(folder):
    MultiGpuWrapper.init(False)
    scores(folder)
    run("search", "chn-pruned-rmt", folder, epochs=2 / STEPS_PER_EPOCH, **SEARCH)
    run("uniform-tf", "uniform-tf", folder, uqtf_rounding="nearest")
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    for learner, values in FROZEN.items():
        run(learner, learner, folder, frozen=True, **values)


if __name__ == "__main__":
    with one_voice():
        main(pathlib.Path(sys.argv[1]))
