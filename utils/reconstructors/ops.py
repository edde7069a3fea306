"""The table of what every Keras layer and operation is rebuilt from, and of what is refused.

Every row of `utils.graph.ops.TABLE` is in one of the two; a test goes over them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from utils.graph.ir import Node
from utils.reconstructors import (
    ops_normalization,
    ops_pointwise,
    ops_quantized,
    ops_recurrent,
    ops_reductions,
    ops_shape,
    ops_spatial,
    ops_weighted,
)
from utils.reconstructors.rebuilding import Rebuilding

TABLE: Mapping[str, Callable[[Rebuilding, Node], None]] = {
    **ops_weighted.ROWS,
    **ops_recurrent.ROWS,
    "keras.layers.TimeDistributed": ops_recurrent.per_step(lambda: TABLE),
    **ops_pointwise.ROWS,
    **ops_quantized.ROWS,
    **ops_normalization.ROWS,
    **ops_spatial.ROWS,
    **ops_reductions.ROWS,
    **ops_shape.ROWS,
}

REFUSED: Mapping[str, str] = {
    "keras.layers.Masking": "the mask it makes goes unseen to the layers behind it",
    "keras.layers.CategoryEncoding": "it prepares data; neither framework counts categories so",
    "keras.layers.RandomCrop": "it resizes or crops by chance; apply it to the data",
    "keras.src.ops.nn.Sparsemax": "it sorts, by a rule of its own",
}
"""Why a row of the op table is rebuilt neither in PyTorch nor in ONNX."""
