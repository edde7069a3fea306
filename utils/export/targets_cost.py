"""What a file costs on a device, without one: run by its interpreter, or compiled for it."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from utils.errors import InputError
from utils.export.ethos_u import NpuEstimate, Target, estimate
from utils.export.targets import TARGETS, find_target

if TYPE_CHECKING:
    from utils.export.tflm import TFLMRunner

NUM_INPUTS = 2  # random ones that two interpreters are compared on
MAX_APART = 1 / 16  # of the range of an output's integers, between them
#: Kinds of budget -> what on this computer can say them.
KNOWN = {"cycles": ("vela",), "sram": ("vela", "tflm")}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeviceCost:
    """What one inference costs on a device.

    Attributes:
        target: of `utils.export.targets.NAMES`.
        sram_bytes: peak of the working memory: the arena of TensorFlow Lite Micro, the SRAM of an
            Ethos-U.
        estimate: what the compiler says; None without one.
        reference_operators: names of the operators, each once, that run in slow reference kernels
            where others have kernels made for the device.
    """

    target: str
    sram_bytes: int
    estimate: NpuEstimate | None = None
    reference_operators: tuple[str, ...] = ()


def check_known(kind: str, target: str | None) -> None:
    """Refuse a budget of what is not known.

    Args:
        kind: of a budget, e.g. `cycles`; other kinds than those of `KNOWN` pass.
        target: of `utils.export.targets.NAMES`; None where no device was named.

    Raises:
        InputError: says for which targets it is known.
    """
    if kind not in KNOWN or (target is not None and find_target(target).runs in KNOWN[kind]):
        return
    able = ", ".join(name for name, device in TARGETS.items() if device.runs in KNOWN[kind])
    raise InputError(
        f"`budget`: {kind} are those of an int8 file on a device that tells them. Received: "
        f"{'no --target' if target is None else f'--target={target}'}. Choose one of {able}."
    )


def can_cost(target: str) -> bool:
    """Tell whether what a file costs on a target is known on this computer."""
    return find_target(target).runs != ""


def device_cost(content: bytes, target: str) -> DeviceCost:
    """Run or compile a file.

    Args:
        content: an int8 `.tflite` file that the interpreter accepts.
        target: one of which `can_cost` is true.

    Returns:
        Its cost.

    Raises:
        InputError: if the tool is missing, or refuses the file; if TensorFlow Lite Micro gives
            other numbers than LiteRT.
    """
    device = find_target(target)
    if device.runs == "vela":
        found = estimate(content, Target(accelerator=device.accelerator))
        return DeviceCost(target=target, sram_bytes=found.sram_bytes, estimate=found)
    if device.runs != "tflm":
        raise InputError(f"what a file costs on {target} is not known: LiteRT times it instead.")
    from utils.export.tflm import TFLMRunner

    with contextlib.closing(TFLMRunner(content)) as runner:
        arena = runner.arena_bytes()
        _compare(content, runner)
    fast = device.fast
    names = () if fast is None else {each.name for each in runner.graph.operators} - fast
    return DeviceCost(target=target, sram_bytes=arena, reference_operators=tuple(sorted(names)))


def _compare(content: bytes, runner: TFLMRunner) -> None:
    """Refuse a file for which the interpreter's outputs are far from those of LiteRT.

    Kernels of both round in ways of their own: a few steps are usual. A file with operators of
    TensorFlow Lite Micro alone is compared when it is made.
    """
    if any(operator.name == "CUSTOM" for operator in runner.graph.operators):
        return
    from ai_edge_litert.interpreter import Interpreter

    graph, inputs = runner.graph, runner.random_inputs(NUM_INPUTS)
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    for given, found in zip(inputs, runner.run(inputs), strict=True):
        for number, array in zip(graph.input_order, given, strict=True):
            interpreter.set_tensor(number, array)
        interpreter.invoke()
        for number, ours in zip(graph.output_order, found, strict=True):
            if np.issubdtype(ours.dtype, np.integer):
                theirs = interpreter.get_tensor(number)
                apart = int(np.abs(ours.astype(np.int64) - theirs).max())
                steps = int(np.iinfo(ours.dtype).max) - int(np.iinfo(ours.dtype).min)
                if apart > MAX_APART * steps:
                    raise InputError(
                        f"TensorFlow Lite Micro gives other numbers than LiteRT for this file: "
                        f"{apart} of {steps} steps apart at {graph.tensors[number].name!r}."
                    )
