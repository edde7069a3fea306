"""Which layers of a quantized `.tflite` file lose the most.

The quantized file and the float file of the same network run on the same samples; every tensor that
both have is compared. Errors add up along the network, so that the layer to look at is not the one
with the largest error but the one that *adds* the most to what its inputs already carry.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping

import keras
import numpy as np

from utils.export.flatbuffer import FORMAT_OPERATORS, FileGraph, Operator
from utils.export.runner import Inputs, TFLiteRunner

#: More values than this part outside the calibrated range are worth a word.
_CLIPPED = 1e-3
#: Below this signal-to-noise ratio the grid of 256 steps itself is too coarse, in dB.
_COARSE_DB = 25.0
#: Above this ratio of signal to noise a layer is as good as int8 gets, in dB.
_USUAL_DB = 35.0
#: Below this part of a layer's error its own contribution counts as small.
_INHERITED = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerError:
    """How far one layer's output in the quantized file is from the float network's.

    Attributes:
        layer: the Keras layer; the tensor's own name where no layer made it.
        operator: the file's operator, e.g. "CONV_2D".
        nmse: mean squared error over mean squared value, accumulated up to here.
        added_nmse: `nmse` less the largest of the operator's inputs; what the ranking goes by.
        snr_db: signal-to-noise ratio, -10 log10(nmse).
        cosine: cosine of the angle between both outputs, 1 for equal directions.
        clipped: part of the float values outside the range that the file can hold.
        suggestion: what to do about it.
    """

    layer: str
    operator: str
    nmse: float
    added_nmse: float
    snr_db: float
    cosine: float
    clipped: float
    suggestion: str


def rank_layers(
    quantized: bytes, reference: bytes, inputs: Inputs, model: keras.Model
) -> tuple[LayerError, ...]:
    """Compare a quantized file with the float file of the same network, layer by layer.

    Args:
        quantized: content of the int8 or dynamic-range file.
        reference: content of the float32 file.
        inputs: a float batch that both run on.
        model: the Keras model, for the names of its layers.

    Returns:
        The layers, those that add the most error first.
    """
    low, high = (TFLiteRunner(content, keep_tensors=True) for content in (quantized, reference))
    partners = _partners(low.graph, high.graph)
    sums = {index: _Sums() for index in partners}
    for sample in _samples(inputs, low):
        low(sample)
        high(sample)
        for index, partner in partners.items():
            sums[index].add(low.tensor(index), high.tensor(partner), _range(low.graph, index))
    sizes = {layer.name: layer.count_params() for layer in _all_layers(model)}
    rows, nmse = (
        [],
        {index: sums[index].nmse for index in low.graph.inputs.values() if index in sums},
    )
    for operator in low.graph.operators:
        inherited = max((nmse.get(index, 0.0) for index in operator.inputs), default=0.0)
        for index in operator.outputs:
            nmse[index] = sums[index].nmse if index in sums else inherited
            if index in sums and operator.name not in FORMAT_OPERATORS:
                name = _layer_name(low.graph, operator, index, sizes)
                rows.append(_row(name, operator.name, sums[index], inherited))
    return tuple(sorted(rows, key=lambda row: -row.added_nmse))


class _Sums:
    """Sums over samples from which the measures follow."""

    def __init__(self) -> None:
        self.squares = self.low_squares = self.errors = self.products = 0.0
        self.count = self.outside = 0
        self.span = 0.0

    def add(self, low: np.ndarray, high: np.ndarray, limits: tuple[float, float] | None) -> None:
        # float64: squares of large activations add up over many samples
        a, b = low.astype(np.float64).ravel(), high.astype(np.float64).ravel()
        self.squares += float(b @ b)
        self.low_squares += float(a @ a)
        self.products += float(a @ b)
        self.errors += float((a - b) @ (a - b))
        self.count += b.size
        if limits is not None:
            self.span = limits[1] - limits[0]
            slack = self.span / 255  # one step: rounding is not clipping
            outside = (b < limits[0] - slack) | (b > limits[1] + slack)
            self.outside += int(np.count_nonzero(outside))

    @property
    def nmse(self) -> float:
        """Error over signal; a signal of zeros counts every error as infinite."""
        if self.squares == 0.0:
            return 0.0 if self.errors == 0.0 else math.inf
        return self.errors / self.squares

    @property
    def cosine(self) -> float:
        norms = math.sqrt(self.squares * self.low_squares)
        return self.products / norms if norms else float(self.errors == 0.0)

    @property
    def grid_snr_db(self) -> float:
        """What rounding alone to 256 steps over the range leaves: noise of step^2 / 12."""
        if not self.span or not self.squares:
            return math.inf
        return _decibel((self.span / 255) ** 2 / 12 / (self.squares / self.count))


def _row(layer: str, operator: str, sums: _Sums, inherited: float) -> LayerError:
    added = max(sums.nmse - inherited, 0.0) if math.isfinite(sums.nmse) else math.inf
    return LayerError(
        layer=layer,
        operator=operator,
        nmse=sums.nmse,
        added_nmse=added,
        snr_db=_decibel(sums.nmse),
        cosine=sums.cosine,
        clipped=sums.outside / sums.count,
        suggestion=_suggestion(sums, added),
    )


def _suggestion(sums: _Sums, added: float) -> str:
    clipped = sums.outside / sums.count
    if clipped > _CLIPPED:
        return (
            f"{clipped:.1%} of its values lie outside the calibrated range: calibrate with more "
            "or other samples (--nb_smpls_calib)"
        )
    if sums.grid_snr_db < _COARSE_DB:
        return (
            "a few large values stretch its range, 256 steps are too coarse for the rest: bound "
            "it (ReLU6) or train with quantization"
        )
    if added <= _INHERITED * sums.nmse:
        return "its error comes from the layers before it"
    if _decibel(sums.nmse) > _USUAL_DB:
        return "no more than int8 usually costs"
    return "train with quantization, or export the dynamic kind"


def _decibel(nmse: float) -> float:
    if nmse == 0.0:
        return math.inf
    return -10 * math.log10(nmse) if math.isfinite(nmse) else -math.inf


def _partners(low: FileGraph, high: FileGraph) -> dict[int, int]:
    """Match computed tensors and inputs of both files: by name, the outputs by their order."""
    by_name = {
        tensor.name: index for index, tensor in enumerate(high.tensors) if not tensor.constant
    }
    computed = {index for operator in low.operators for index in operator.outputs}
    pairs = {
        index: by_name[low.tensors[index].name]
        for index in sorted(computed | set(low.inputs.values()))
        if low.tensors[index].name in by_name
    }
    pairs.update(zip(low.outputs.values(), high.outputs.values(), strict=True))
    return pairs


def _range(graph: FileGraph, index: int) -> tuple[float, float] | None:
    """Smallest and largest number that an int8 tensor can hold; None for other formats."""
    tensor = graph.tensors[index]
    if tensor.dtype != "int8" or not len(tensor.scale):
        return None
    scale, zero = float(tensor.scale[0]), int(tensor.zero_point[0])
    return (-128 - zero) * scale, (127 - zero) * scale


def _samples(inputs: Inputs, runner: TFLiteRunner) -> list[Inputs]:
    """Cut a batch into pieces of the file's batch size."""
    size = runner.batch_size
    if isinstance(inputs, Mapping):
        count = len(next(iter(inputs.values())))
        return [
            {name: array[i : i + size] for name, array in inputs.items()}
            for i in range(0, count, size)
        ]
    if isinstance(inputs, list | tuple):
        count = len(inputs[0])
        return [[array[i : i + size] for array in inputs] for i in range(0, count, size)]
    array = np.asarray(inputs)
    return [array[i : i + size] for i in range(0, len(array), size)]


def _all_layers(model: keras.Model) -> list[keras.Layer]:
    layers = []
    for layer in model.layers:
        layers += _all_layers(layer) if isinstance(layer, keras.Model) else [layer]
    return layers


def _layer_name(graph: FileGraph, operator: Operator, output: int, sizes: Mapping[str, int]) -> str:
    """Name the Keras layer behind an operator.

    The converter's names list the layers it fused, e.g. `net_1/relu_1/Relu;net_1/conv_1/conv`; the
    one with the most parameters stands for them. The last operator's name is that of the output;
    its constants know the layer.
    """
    constants = [graph.tensors[i].name for i in operator.inputs if graph.tensors[i].constant]
    for name in (graph.tensors[output].name, ";".join(constants)):
        found = [layer for part in name.split(";") if (layer := _layer_in(part, sizes))]
        if found:
            return max(reversed(found), key=sizes.__getitem__)
    return graph.tensors[output].name.split(";")[0]


def _layer_in(path: str, sizes: Mapping[str, int]) -> str | None:
    """Find the innermost part of a name path that is a layer; the trace appends `_1` to it."""
    for part in reversed(path.split("/")):
        for candidate in (re.sub(r"_\d+$", "", part), part):
            if candidate in sizes:
                return candidate
    return None
