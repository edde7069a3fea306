"""Which of a network's variables are trained by latent values, and which of their zeros stay."""

from collections.abc import Iterator, Mapping, Sequence

import keras

from learners.kernels.layers import KernelLayer
from learners.low_bits.coding import Code
from utils.graph import Graph
from utils.graph.keras_io import read
from utils.training.latent import Quantized, Unquantized
from utils.training.zeros import may_be_sparse


def tied(
    model: keras.Model,
    graph: Graph,
    layers: Sequence[KernelLayer],
    codes: Mapping[str, Code],
    *,
    allow_unsafe: bool,
) -> Iterator[Quantized]:
    """Tie a network's variables to quantizers.

    Args:
        model: the network.
        graph: the same, or as it was before it was rounded: what is zero there stays zero.
        layers: the kernels that lie on codes.
        codes: of each, by name.
        allow_unsafe: the network may hold Python code.

    Yields:
        The quantized variables, and others whose zeros stay.
    """
    operations = read(model, allow_unsafe=allow_unsafe)[1]
    quantizers = {
        key: quantizer
        for layer in layers
        for key, quantizer in codes[layer.name].quantizers().items()
    }
    for layer, arrays in graph.params.items():
        variables = getattr(operations[layer], "weights", [])
        for variable, (weight, array) in zip(variables, arrays.items(), strict=True):
            zeros = array == 0
            absent = zeros if may_be_sparse(variable) and 0 < zeros.sum() < zeros.size else None
            quantizer = quantizers.get((layer, weight))
            if not variable.trainable or (quantizer is None and absent is None):
                continue
            yield Quantized(variable, quantizer or Unquantized(), absent=absent)
