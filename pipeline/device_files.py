"""The files of a run for devices: made, run, timed and written, before and after side by side."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras

from nets.abstract_model_helper import AbstractModelHelper
from pipeline.outcome import Outcome
from pipeline.steps import Steps
from utils.errors import InputError
from utils.export.check import Checked, CheckResult, ExportedFile, check_all, unchecked
from utils.export.compare import Observation
from utils.export.config import ExportConfig, LatencyConfig
from utils.export.conversion import Conversion, Exported, convert_all, deployed_name
from utils.export.exporters import EXPORTERS, load_function
from utils.export.files import all_results, converted_files, write_files
from utils.export.flatbuffer import FileGraph, is_tflite, read_graph
from utils.export.targets_cost import DeviceCost, can_cost, device_cost
from utils.latency import LatencyStats, measure_anew
from utils.training import Scorer

BEFORE, AFTER = "before", "after"
_SCORED = "scored"


@dataclasses.dataclass(frozen=True)
class DeviceFiles:
    """What networks and their files did.

    Attributes:
        networks: what each Keras network did on the evaluation data, by name; empty where that
            failed.
        results: what came of each file, those of the network before first.
        timings: times of the files that were timed, by network and kind.
        graphs: what is inside those that are `.tflite` files and were run.
        costs: what they cost on the target, where that is known.
        notes: why optional files or costs are missing.
    """

    networks: Mapping[str, Observation]
    results: Sequence[CheckResult]
    timings: Mapping[tuple[str, str], LatencyStats]
    graphs: Mapping[tuple[str, str], FileGraph] = dataclasses.field(default_factory=dict)
    costs: Mapping[tuple[str, str], DeviceCost] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()


def measure_files(
    config: ExportConfig,
    helper: AbstractModelHelper,
    outcome: Outcome,
    others: Mapping[str, keras.Model],
    *,
    paths: Mapping[str, pathlib.Path],
    steps: Steps,
) -> DeviceFiles:
    """Make, check, write and time the files of both networks; score the networks along with them.

    Args:
        config: flags of the export.
        helper: data and metrics.
        outcome: the networks before and after.
        others: further networks to score, by name.
        paths: the `.keras` file of the networks before and after.
        steps: notes what fails.

    Returns:
        What came of it; less where a step failed.
    """
    after = outcome.after
    exported = [
        Exported(name=BEFORE, model=outcome.before, is_result=False),
        Exported(name=AFTER, model=after.model, deployed=after.deployed, packed=after.packed),
    ]
    kinds = config.kinds()
    none: dict[tuple[str, str], Conversion] = {}
    conversions = steps.run(
        "export",
        lambda: convert_all(
            exported, kinds, config.convert, _calibration(config, helper), helper.data_facts
        ),
        none,
    )
    files = converted_files(conversions)
    reported = {BEFORE: outcome.before, AFTER: after.model, **others}
    scored = dict(reported)
    if after.deployed is not None:
        scored[deployed_name(AFTER)] = after.deployed
    of_result = next((name for name, each in scored.items() if each is after.scored), _SCORED)
    scored[of_result] = after.scored
    if of_result != AFTER and AFTER not in {file.compared for file in files}:
        del scored[AFTER]  # nobody asks for it
    checked = steps.run(
        "evaluation",
        lambda: check_all(
            scored,
            files,
            helper.build_dataset_eval(),
            Scorer(helper),
            config.check,
            unlimited=(BEFORE,),
        ),
        Checked({}, [unchecked(file) for file in files]),
    )
    results = all_results(conversions, checked.files)
    results = steps.run(
        "export",
        lambda: write_files(results, files, paths, with_arrays=config.convert.export_c_array),
        results,
    )
    untimed: dict[tuple[str, str], LatencyStats] = {}
    timings = steps.run("latency", lambda: _time(files, results, config.latency, steps), untimed)
    networks = {name: seen for name, seen in checked.networks.items() if name in reported}
    if of_result in checked.networks:  # the accuracy of the result may not be the plain network's
        networks[AFTER] = checked.networks[of_result]
    notes = [
        f"There is no {result.kind} file: {result.declined.rstrip('.')}."
        for result in results
        if result.declined
    ]
    unknown: dict[tuple[str, str], DeviceCost] = {}
    costs = steps.run(
        "target", lambda: _costs(files, results, config.convert.target, notes), unknown
    )
    return DeviceFiles(
        networks, results, timings, _graphs(files, results), costs, tuple(dict.fromkeys(notes))
    )


def _graphs(
    files: Sequence[ExportedFile], results: Sequence[CheckResult]
) -> dict[tuple[str, str], FileGraph]:
    """Read the files that an interpreter has accepted."""
    ran = {(each.network, each.kind) for each in results if each.checked and not each.failed}
    return {
        (file.network, file.kind): read_graph(file.content)
        for file in files
        if (file.network, file.kind) in ran and is_tflite(file.content)
    }


def _costs(
    files: Sequence[ExportedFile],
    results: Sequence[CheckResult],
    target: str | None,
    notes: list[str],
) -> dict[tuple[str, str], DeviceCost]:
    """Run or compile the files that were written; what is refused becomes a note."""
    if target is None or not can_cost(target):
        return {}
    written = {(result.network, result.kind) for result in results if result.path is not None}
    found = {}
    for file in files:
        key = (file.network, file.kind)
        if key in written and EXPORTERS[file.kind].on_device:
            try:
                found[key] = device_cost(file.content, target)
            except InputError as error:
                notes.append(f"The {file.kind} file {file.network}, on {target}: {error}")
    return found


def _calibration(config: ExportConfig, helper: AbstractModelHelper) -> Iterable[Any]:
    """Give batches of inputs; read when the first file needs them."""
    for batch in helper.build_dataset_calibration(config.convert.nb_smpls_calib):
        yield batch[0] if isinstance(batch, tuple) else batch


def _time(
    files: Sequence[ExportedFile],
    results: Sequence[CheckResult],
    config: LatencyConfig,
    steps: Steps,
) -> dict[tuple[str, str], LatencyStats]:
    """Time the files that were written, all in turns, each loaded anew for every block."""
    written = {(result.network, result.kind) for result in results if result.path is not None}
    openers: dict[tuple[str, str], Callable[[], Callable[[], None]]] = {}
    for file in files:
        key = (file.network, file.kind)
        timed = EXPORTERS[file.kind].timed
        if key in written and timed is not None:
            opener = functools.partial(
                load_function(timed),
                file.content,
                num_threads=config.latency_threads,
            )
            try:
                opener()
            except InputError as error:
                steps.failed("latency", error)
            else:
                openers[key] = opener
    stats = measure_anew(
        {"/".join(key): opener for key, opener in openers.items()},
        repeats=config.nb_repts,
        warmup=config.nb_repts_warmup,
    )
    return {key: stats["/".join(key)] for key in openers}
