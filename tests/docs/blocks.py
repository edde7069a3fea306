"""Carrying out the commands of a page in this process, with tiny settings."""

import json
import os
import shlex
import subprocess

import main
from tools.benchmark import calc_inference_time
from tools.conversion import compile_model, export_tflite, quantize_model
from tools.graph_tools import model_complexity, quantization_error, write_prune_dict

# Later flags rule, so these are appended to the pages' commands.
_TINY = {
    "main.py": [
        "--nb_epochs=0.1",
        "--tflite=float32",
        "--tflite_max_gap=1",
        "--tflite_min_agreement=0",
        "--nb_repts=2",
        "--nb_repts_warmup=0",
    ],
    "channel": ["--cp_nb_batches=2", "--cp_nb_rlouts=3", "--cp_nb_rlouts_min=3"],
    "chn-pruned-rmt": ["--cpr_nb_smpls=100", "--cpr_nb_crops_per_smpl=2"],
    "chn-pruned-gpu": ["--cpg_nb_smpls=100", "--cpg_nb_iters_layer=20"],
    "dis-chn-pruned": [
        "--dcp_nb_smpls=100",
        "--dcp_nb_iters_block=2",
        "--dcp_nb_iters_layer=4",
    ],
    "filter-pruned": ["--fp_nb_smpls=100", "--tflite=none"],
    "soft-pruned": ["--sfp_thresholds=0.6,0.5", "--sfp_max_retrains=0", "--tflite=none"],
    # The widest layer would take most of the time of rounding.
    "uniform": ["--uql_nb_smpls=100", "--uql_skip_op_names=fc1"],
    "non-uniform": ["--nuql_nb_smpls=100", "--nuql_skip_op_names=fc1"],
    "full-prec,uniform": ["--nb_epochs=0.1,0"],
    "auto": [
        "--auto_nb_smpls=60",
        "--auto_nb_crops_per_smpl=2",
        "--auto_nb_candidates=1",
        "--auto_skip_op_names=fc1",
        "--auto_compare=False",
        "--max_drop=100",
        "--tflite=none",
    ],
    "full-prec,auto": ["--nb_epochs=0.1,0"],
    "weight-sparse": ["--ws_nb_smpls=100", "--ws_nb_crops_per_smpl=2"],
    "full-prec,weight-sparse": ["--nb_epochs=0,0", "--ws_nb_smpls=100"],
    "full-prec,non-uniform": ["--nb_epochs=0.1,0"],
    "--cp_finetune": ["--cp_list_group=2"],
    "--cpr_search": ["--cpr_nb_rlouts=4", "--cpr_nb_rlouts_min=4"],
    "--uql_enbl_rl_agent": ["--uql_nb_rlouts=2", "--uql_nb_rlouts_min=2"],
    "full-prec,uniform-tf": ["--nb_epochs=0.1,0", "--uqtf_nb_smpls=100"],
    "full-prec,filter-pruned": ["--nb_epochs=0,2.1"],
    "full-prec,soft-pruned": ["--nb_epochs=0,0.1"],
    "tools/benchmark/calc_inference_time.py": ["--nb_repts=2", "--nb_repts_warmup=0"],
    "tools/conversion/export_tflite.py": ["--tflite_max_gap=1", "--tflite_min_agreement=0"],
    "tools/graph_tools/write_prune_dict.py": [],
    "tools/conversion/quantize_model.py": ["--nb_smpls_eval=50"],
    "tools/graph_tools/quantization_error.py": [],
    "tools/conversion/compile_model.py": ["--picture=none"],
    "tools/graph_tools/model_complexity.py": [],
}
_COMMANDS = {
    "main.py": main.run,
    "tools/benchmark/calc_inference_time.py": calc_inference_time.main,
    "tools/conversion/export_tflite.py": export_tflite.main,
    "tools/graph_tools/write_prune_dict.py": write_prune_dict.main,
    "tools/conversion/quantize_model.py": quantize_model.main,
    "tools/graph_tools/quantization_error.py": quantization_error.main,
    "tools/conversion/compile_model.py": compile_model.main,
    "tools/graph_tools/model_complexity.py": model_complexity.main,
}


def calls_of(script, checkout):
    """Let bash carry out a block and tell the calls of Python in it."""
    notes = checkout / "calls"
    notes.write_text("")
    subprocess.run(["bash", "-euc", script], cwd=checkout, check=True)
    return [json.loads(line) for line in notes.read_text().splitlines()]


def _named(arguments):
    """Name the learners of a call, all of them as one list, and its flags."""
    pairs = [argument.partition("=")[::2] for argument in arguments]
    lists = [value for flag, value in pairs if flag == "--learner"]
    return {flag for flag, _ in pairs}.union(lists, *(value.split(",") for value in lists))


def call(arguments, checkout, *, exports):
    """Carry out a recorded call of Python in this process, with tiny settings."""
    script = os.path.relpath(arguments[0], checkout)
    argv = [*arguments[1:], *_TINY[script]]
    if script == "main.py" and not exports:
        argv += ["--tflite=none"]
    named = _named(arguments)
    for name in _TINY:  # in that order: what a list of learners needs comes last
        if name in named - {script}:
            argv += _TINY[name]
    assert _COMMANDS[script](argv) == 0, shlex.join(arguments)
