"""A row per exported file of the report, each compared with its own kind of the network before."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from pipeline.device_files import AFTER, BEFORE, DeviceFiles
from utils.export.check import CheckResult, worst_layers
from utils.export.compare import Observation
from utils.export.flatbuffer import FileGraph
from utils.export.targets_cost import DeviceCost
from utils.intervals import Interval, difference_interval, share_interval
from utils.latency import LatencyStats, ratio
from utils.report import Bounds, Estimate, File, OnDevice, Tensor


def file_rows(files: DeviceFiles) -> tuple[File, ...]:
    """Make the rows, those of the network before first.

    Args:
        files: what they did.

    Returns:
        A row per file that was asked for, whether there is one or not; none where an optional
        one was turned down.
    """
    by_key = {(result.network, result.kind): result for result in files.results}
    return tuple(
        _row(result, by_key.get((BEFORE, result.kind)), files)
        for result in files.results
        if not result.declined
    )


def _row(result: CheckResult, before: CheckResult | None, files: DeviceFiles) -> File:
    key = (result.network, result.kind)
    timing = files.timings.get(key)
    is_after = result.network == AFTER
    other = files.timings.get((BEFORE, result.kind)) if is_after else None
    judged = is_after and result.checked
    graph = files.graphs.get(key)
    return File(
        network=result.network,
        kind=result.kind,
        path=result.path,
        failed=result.failed or None,
        passed=result.passed if judged and not result.failed else None,
        reasons=result.reasons,
        worst_layers=tuple(worst_layers(result)),
        num_samples=result.num_samples or None,
        top1=result.top1,
        top1_interval=interval_of(result.hits),
        change=change_of(result.hits, before.hits) if is_after and before else None,
        metrics=finite(result.scores),
        agreement=result.agreement,
        gap=_finite(result.gap),
        gap_interval=_gap_interval(result, files.networks.get(result.network)),
        error=_finite(result.error),
        file_bytes=result.file_bytes or None,
        file_bytes_deflated=result.file_bytes_deflated or None,
        sha256=result.sha256 or None,
        latency_ms_p50=None if timing is None else timing.p50,
        latency_ms_p95=None if timing is None else timing.p95,
        latency_ratio=_latency_ratio(timing, other),
        float_operators=result.float_operators,
        inputs=_tensors(graph, graph.inputs) if graph else (),
        outputs=_tensors(graph, graph.outputs) if graph else (),
        on_device=_on_device(files.costs.get(key)),
        notes=result.notes,
    )


def _tensors(graph: FileGraph, indices: Mapping[str, int]) -> tuple[Tensor, ...]:
    """Describe inputs or outputs."""
    found = [(name, graph.tensors[index]) for name, index in indices.items()]
    return tuple(
        Tensor(
            name=name,
            shape=tensor.shape,
            dtype=tensor.dtype,
            scale=float(tensor.scale[0]) if len(tensor.scale) else None,
            zero_point=int(tensor.zero_point[0]) if len(tensor.zero_point) else None,
        )
        for name, tensor in found
    )


def _on_device(found: DeviceCost | None) -> OnDevice | None:
    """Make the entry of a cost."""
    if found is None:
        return None
    on_device = OnDevice(
        device=found.target,
        sram_bytes=found.sram_bytes,
        reference_operators=found.reference_operators,
    )
    said = found.estimate
    if said is None:
        return on_device
    return dataclasses.replace(
        on_device,
        device=said.target.accelerator,
        system_config=said.target.system_config,
        memory_mode=said.target.memory_mode,
        weight_bytes=said.weight_bytes,
        encoded_bytes=said.encoded_bytes,
        cycles=said.cycles,
        milliseconds=said.milliseconds,
        memory_bytes=said.memory_bytes,
        cpu_operators=tuple(map(str, said.cpu_operators)),
    )


def interval_of(hits: np.ndarray | None) -> Bounds | None:
    """Bound an accuracy by the samples that are right; None where they are not known."""
    return None if hits is None else _bounds(share_interval(hits))


def change_of(hits: np.ndarray | None, before: np.ndarray | None) -> Estimate | None:
    """Compare who is right sample by sample.

    Args:
        hits: where the network or file in question is right.
        before: the same of the one to compare with.

    Returns:
        The difference of the accuracies; None where either is not known.
    """
    if hits is None or before is None:
        return None
    bounds = difference_interval(hits, before)
    if bounds is None:
        return None
    return Estimate(value=float(np.mean(hits - before)), low=bounds.low, high=bounds.high)


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Leave out what is no number: a report holds none."""
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _gap_interval(result: CheckResult, network: Observation | None) -> Bounds | None:
    """Bound the gap, where it is a difference of accuracies."""
    if network is None or network.hits is None or result.hits is None or result.gap is None:
        return None
    difference = float(np.mean(network.hits - result.hits))
    if not math.isclose(difference, result.gap, abs_tol=1e-6):
        return None  # another metric decides
    return _bounds(difference_interval(network.hits, result.hits))


def _latency_ratio(timing: LatencyStats | None, before: LatencyStats | None) -> Estimate | None:
    if timing is None or before is None:
        return None
    found = ratio(timing, before)
    return Estimate(value=found.median, low=found.interval.low, high=found.interval.high)


def _bounds(interval: Interval | None) -> Bounds | None:
    return None if interval is None else Bounds(low=interval.low, high=interval.high)


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
