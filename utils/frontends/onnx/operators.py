"""The table of ONNX operators that can be built of Keras layers."""

from __future__ import annotations

from utils.frontends.building import Operators
from utils.frontends.onnx import ops_layers, ops_pointwise, ops_recurrent, ops_shape
from utils.frontends.onnx.folding import FOLDS

_SPATIAL = (
    "Conv ConvTranspose MaxPool AveragePool GlobalAveragePool GlobalMaxPool BatchNormalization "
    "InstanceNormalization GroupNormalization DepthToSpace SpaceToDepth Resize Upsample"
).split()
_PASSING = (
    "Add Sub Mul Div Pow Sqrt Relu LeakyRelu PRelu Clip Sigmoid Tanh Pad Slice Concat Split Cast "
    "Identity Dropout Abs Neg Exp Log Min Max"
).split()

OPERATORS = Operators(
    functions={
        **ops_layers.FUNCTIONS,
        **ops_pointwise.FUNCTIONS,
        **ops_recurrent.FUNCTIONS,
        **ops_shape.FUNCTIONS,
    },
    folds=FOLDS,
    spatial=frozenset(_SPATIAL),
    passing=frozenset(_PASSING),
)
