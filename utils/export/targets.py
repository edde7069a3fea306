"""Devices that a network can be made for: one literal table of what is known about each.

The rehearsal of a run holds the network's files against a row before anything is trained, learners
of channels take their counts from it, exporters what they may write. Nothing else in Flowpress says
anything about a device.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal

from utils.errors import InputError
from utils.flags import nearest

# What the package `tflite-micro` (0.dev20261023) registers: `python_ops_resolver.cc`, which has all
# operators of TensorFlow Lite Micro. GELU, TILE, POW and TOPK are not among them.
_MICRO = frozenset(
    "ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND "
    "BROADCAST_ARGS BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM CUSTOM "
    "DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP "
    "EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER "
    "GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG "
    "LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM "
    "MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE READ_VARIABLE REDUCE_ALL "
    "REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 "
    "ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V "
    "SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE "
    "TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE ZEROS_LIKE".split()
)
# The folder tensorflow/lite/micro/kernels/cmsis_nn of tflite-micro: kernels written for Cortex-M.
# Other operators run there in reference kernels of C++.
_CMSIS_NN = frozenset(
    "ADD AVERAGE_POOL_2D BATCH_MATMUL CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED MAXIMUM "
    "MAX_POOL_2D MINIMUM MUL PAD PADV2 SOFTMAX SVDF TRANSPOSE TRANSPOSE_CONV "
    "UNIDIRECTIONAL_SEQUENCE_LSTM".split()
)
# `vela --supported-ops-report` of ethos-u-vela 5.2.0, "Ethos-U55 and Ethos-U65 TFLite". Shapes and
# parameters have limits of their own, on which the compiler has the last word (`ethos_u.estimate`).
_ETHOS_U55_U65 = frozenset(
    "ABS ADD ARG_MAX AVERAGE_POOL_2D BATCH_MATMUL CONCATENATION CONV_2D DEPTHWISE_CONV_2D ELU EXP "
    "EXPAND_DIMS FULLY_CONNECTED GELU HARD_SWISH LEAKY_RELU LOG LOGISTIC MAXIMUM MAX_POOL_2D MEAN "
    "MINIMUM MIRROR_PAD MUL NEG PACK PAD PADV2 PRELU QUANTIZE REDUCE_MAX REDUCE_MIN RELU RELU6 "
    "RELU_0_TO_1 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 RSQRT "
    "SLICE SOFTMAX SPLIT SPLIT_V SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM TANH TILE "
    "TRANSPOSE TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK".split()
)
# The same report, "Ethos-U85 TFLite".
_ETHOS_U85 = _ETHOS_U55_U65 | frozenset(
    "ASSIGN_VARIABLE CAST DIV EQUAL GATHER GREATER GREATER_EQUAL LESS LESS_EQUAL LOGICAL_AND "
    "LOGICAL_NOT LOGICAL_OR NOT_EQUAL READ_VARIABLE REDUCE_ALL REDUCE_ANY SCATTER_ND SELECT "
    "SELECT_V2".split()
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Device:
    """A row of the table.

    Attributes:
        summary: what it is.
        channels: kernels compute whole multiples of so many channels.
        weights: number formats of weights that are computed with.
        int16: whether activations of 16 bits run there.
        operators: of the `.tflite` format that it runs in integers; None for all of the format.
        rest: what becomes of another operator.
        fast: those of the operators that have kernels made for the device, where others are slow;
            None where there is no such difference.
        identity_padding: zeros along channels are cheaper as a 1x1 convolution with an identity,
            see `utils.export.channel_padding`.
        runs: what runs or compiles files for it on this computer; "" for LiteRT, which runs every
            file anyway.
        accelerator: as the compiler calls it; "" where there is none.
        weight_bytes: of weights that are read in a cycle, at most.
    """

    summary: str
    channels: int
    weights: tuple[str, ...] = ("int8",)
    int16: bool = False
    operators: frozenset[str] | None = None
    rest: str
    fast: frozenset[str] | None = None
    identity_padding: bool = False
    runs: Literal["", "tflm", "vela"] = ""
    accelerator: str = ""
    weight_bytes: float = 0.0

    @property
    def macs(self) -> int:
        """Multiply-adds in a cycle, at most; 0 where that is not known."""
        number = self.accelerator.rpartition("-")[2]
        return int(number) if number else 0


TARGETS: dict[str, Device] = {
    # int4: Dense layers compute with them, convolutions are unpacked first. 16 channels: a 3x3
    # convolution of 16x16 positions takes 10, 26, 34, 61 us with 16, 17, 32, 33 channels in int8
    # (measured, XNNPACK with AVX-512); steps of 4 and 8 show nowhere between.
    "litert": Device(
        summary="phones and computers: LiteRT with XNNPACK",
        channels=16,
        weights=("int8", "int4"),
        int16=True,
        rest="computed in float",
    ),
    # Reference kernels loop over single channels. int4: conv, depthwise, fully_connected.
    "tflm": Device(
        summary="any microcontroller: TensorFlow Lite Micro with its reference kernels",
        channels=1,
        weights=("int8", "int4"),
        int16=True,
        operators=_MICRO,
        rest="not there: the file does not start",
        runs="tflm",
    ),
    # CMSIS-NN multiplies four int8 at a time (SMLAD on pairs of 16 bits, two at once).
    "cortex-m": Device(
        summary="Arm Cortex-M: TensorFlow Lite Micro with the kernels of CMSIS-NN",
        channels=4,
        weights=("int8", "int4"),
        int16=True,
        operators=_MICRO,
        rest="not there: the file does not start",
        fast=_CMSIS_NN,
        runs="tflm",
    ),
    # `ofm_ublock` and `ifm_ublock` in vela's architecture_features.py: depth 8. "Weight tensors
    # must be 8-bit precision", feature maps int8 and int16: the report of supported operators.
    # Weights lie in flash: port of 8 bytes at 0.125 of the clock (vela.ini, High_End_Embedded).
    "ethos-u55": Device(
        summary="Arm Ethos-U55 beside a Cortex-M, compiled by vela",
        channels=8,
        int16=True,
        operators=_ETHOS_U55_U65,
        rest="computed by the Cortex-M, with copies between",
        identity_padding=True,
        runs="vela",
        accelerator="ethos-u55-128",
        weight_bytes=1.0,
    ),
    # Weights lie in DRAM: port of 16 bytes at 0.75 of the clock (vela.ini, Client_Server).
    "ethos-u65": Device(
        summary="Arm Ethos-U65 beside a Cortex-M or -A, compiled by vela",
        channels=8,
        int16=True,
        operators=_ETHOS_U55_U65,
        rest="computed by the Cortex, with copies between",
        identity_padding=True,
        runs="vela",
        accelerator="ethos-u65-256",
        weight_bytes=12.0,
    ),
    # No ublock of U85 is published in vela; its tensors lie in bricks of 16 channels (NHCWB16).
    # DRAM as for U65 (vela.ini, SYS_DRAM_Mid).
    "ethos-u85": Device(
        summary="Arm Ethos-U85 beside a Cortex-M or -A, compiled by vela",
        channels=16,
        int16=True,
        operators=_ETHOS_U85,
        rest="computed by the Cortex, with copies between",
        identity_padding=True,
        runs="vela",
        accelerator="ethos-u85-256",
        weight_bytes=12.0,
    ),
}

#: Accelerators of each Ethos-U, by multiply-adds per cycle.
ACCELERATORS = (
    *(f"ethos-u55-{macs}" for macs in (32, 64, 128, 256)),
    *(f"ethos-u65-{macs}" for macs in (256, 512)),
    *(f"ethos-u85-{macs}" for macs in (128, 256, 512, 1024, 2048)),
)
# The smallest has `ofm_ublock` of depth 4.
_CHANNELS = {"ethos-u55-32": 4}

#: What `--target` may name.
NAMES = (*TARGETS, *ACCELERATORS)


@functools.cache
def find_target(name: str) -> Device:
    """Look a target up.

    Args:
        name: of `NAMES`: a row, or one accelerator of it.

    Returns:
        The row, with that accelerator.

    Raises:
        InputError: for an unknown name.

    Example:
        >>> find_target("ethos-u55").accelerator, find_target("ethos-u55-32").channels
        ('ethos-u55-128', 4)
    """
    if name not in NAMES:
        raise InputError(f"there is no target {name!r}. {nearest(name, NAMES)}")
    if name in TARGETS:
        return TARGETS[name]
    row = TARGETS[name.rpartition("-")[0]]
    channels = _CHANNELS.get(name, row.channels)
    return dataclasses.replace(row, accelerator=name, channels=channels)


def markdown_table() -> str:
    """Write the rows for the documentation."""
    heads = ("`--target`", "what it is", "channels", "weights", "operators", "others are", "tool")
    lines = [f"| {' | '.join(heads)} |", "|:--|:--|--:|:--|--:|:--|:--|"]
    for name, row in TARGETS.items():
        number = "all" if row.operators is None else str(len(row.operators))
        if row.fast is not None:
            number += f", {len(row.fast)} fast"
        tools = {
            "": "LiteRT",
            "tflm": "`tflite-micro`",
            "vela": f"`vela`, {row.accelerator}",
        }
        cells = [f"`{name}`", row.summary, str(row.channels), ", ".join(row.weights), number]
        lines.append(f"| {' | '.join((*cells, row.rest, tools[row.runs]))} |")
    return "\n".join(lines)


def check_weights(target: str | None, weights: str, source: str) -> None:
    """Refuse number formats of weights that a device does not compute with.

    Args:
        target: the device; None for any.
        weights: the format in the file that a learner leaves.
        source: the flag that says so, for the message.

    Raises:
        InputError: if it does not.
    """
    able = None if target is None else find_target(target).weights
    if able is not None and weights not in able:
        raise InputError(
            f"`target`: {target} computes with weights of {', '.join(able)}. Received: "
            f"--target={target} with a learner whose file has {weights} ({source}). Choose 8 bits, "
            "or another target."
        )
