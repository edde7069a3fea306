"""Hold a file against a device: what it computes in float, what the device has no operator for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from utils.errors import InputError
from utils.export.flatbuffer import FORMAT_OPERATORS, FileGraph, Operator, read_graph
from utils.export.targets import Device, find_target
from utils.export.targets_cost import can_cost, device_cost

_NUM_NAMED = 5
#: Operators whose second input is a kernel.
_WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})


@dataclasses.dataclass(frozen=True)
class Misfit:
    """An operator of a file that a device does not run in integers.

    Attributes:
        operator: its name in the format, e.g. `CUMSUM`.
        tensor: the tensor that it makes; its name tells the Keras layer.
        reason: why.
        absent: the device cannot run it at all.
    """

    operator: str
    tensor: str
    reason: str
    absent: bool = False

    def __str__(self) -> str:
        return f"{self.operator} ({self.tensor}: {self.reason})"


def misfits(content: bytes, target: str) -> tuple[Misfit, ...]:
    """List the operators of an int8 file that a device does not run in integers.

    Operators that only move between number formats are not listed: they stand at a file's border,
    or around one that is.

    Args:
        content: an int8 `.tflite` file that the interpreter accepts.
        target: of `utils.export.targets.NAMES`.

    Returns:
        In the order of the file, by the table of operators; for an Ethos-U also those whose shapes
        or parameters its compiler refuses.

    Raises:
        InputError: see `utils.export.ethos_u.estimate`.
    """
    graph, device = read_graph(content), find_target(target)
    found = [
        Misfit(operator.name, _name(graph, operator), reason, absent)
        for operator in graph.operators
        if operator.name not in FORMAT_OPERATORS
        for reason, absent in [_reason(graph, operator, device)]
        if reason
    ]
    return tuple(found) or _refused(content, device)


def _reason(graph: FileGraph, operator: Operator, device: Device) -> tuple[str, bool]:
    """Say why a device does not run an operator in integers, and whether it cannot run it."""
    runs = device.operators is None or operator.name in device.operators
    if not runs and device.runs == "tflm":
        return "TensorFlow Lite Micro has no such operator", True
    if any(graph.tensors[number].dtype == "float32" for number in operator.outputs):
        return "it computes in float, there is no integer kernel for it", False
    if not runs:
        return "the device has no such operator", False
    kernel = operator.inputs[1] if operator.name in _WEIGHTED else None
    if kernel is not None and graph.tensors[kernel].constant:
        kind = graph.tensors[kernel].dtype
        if kind.startswith("int") and kind not in device.weights:
            return f"weights of {kind}, the device computes with {', '.join(device.weights)}", False
    return "", False


def _refused(content: bytes, device: Device) -> tuple[Misfit, ...]:
    """Ask the compiler, where there is one."""
    if device.runs != "vela":
        return ()
    from utils.export.ethos_u import Target, estimate

    found = estimate(content, Target(accelerator=device.accelerator)).cpu_operators
    return tuple(
        Misfit(each.operator, each.tensor, each.reason or "refused by vela")
        for each in found
        if each.operator not in FORMAT_OPERATORS
    )


def _name(graph: FileGraph, operator: Operator) -> str:
    """Name what an operator makes: the first of the tensors that were fused into it."""
    return graph.tensors[operator.outputs[0]].name.split(";")[0]


def require_fit(content: bytes, target: str, *, allow_float: bool = False) -> tuple[Misfit, ...]:
    """Refuse a file that a device does not run in integers alone.

    Args:
        content: see `misfits`.
        target: see there.
        allow_float: let operators be that run elsewhere, or in float.

    Returns:
        What was let be.

    Raises:
        InputError: names the operators and says what can be done.
    """
    found, device = misfits(content, target), find_target(target)
    wrong = [each for each in found if each.absent] if allow_float else list(found)
    if wrong:
        advice = "" if any(each.absent for each in wrong) else f", or --allow_float: {device.rest}"
        raise InputError(
            f"`target`: {_count(wrong)} of this network's int8 file cannot be computed in integers "
            f"on {target}: {_listed(wrong)}. Replace the layers that become them, choose another "
            f"--target{advice}."
        )
    return found


def require_run(content: bytes, target: str, *, allow_float: bool = False) -> tuple[str, ...]:
    """Refuse a file that a device does not run; see `require_fit`.

    Args:
        content: see `misfits`.
        target: see there.
        allow_float: see `require_fit`.

    Returns:
        Sentences on what does not run in integers there.

    Raises:
        InputError: see `require_fit`; or the device's interpreter or compiler refuses the file.
    """
    let = require_fit(content, target, allow_float=allow_float)
    if can_cost(target):
        device_cost(content, target)
    return tuple(f"not in integers on {target}: {each}" for each in dict.fromkeys(map(str, let)))


def _count(found: Sequence[Misfit]) -> str:
    return "1 operator" if len(found) == 1 else f"{len(found)} operators"


def _listed(found: Sequence[Misfit]) -> str:
    named = "; ".join(map(str, found[:_NUM_NAMED]))
    rest = len(found) - _NUM_NAMED
    return f"{named} and {rest} more" if rest > 0 else named
