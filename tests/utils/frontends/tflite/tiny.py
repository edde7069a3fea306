"""Small `.tflite` files, written with the schema's own classes."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int32": schema.TensorType.INT32,
    "int8": schema.TensorType.INT8,
}


def tensor(name, shape, buffer=0, dtype="float32", **more):
    """Make a tensor."""
    made = schema.TensorT()
    made.name, made.shape, made.type, made.buffer = name, list(shape), TYPES[dtype], buffer
    for key, value in more.items():
        setattr(made, key, value)
    return made


def buffer(array=None):
    """Make a buffer."""
    made = schema.BufferT()
    if array is not None:
        made.data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
    return made


def write(tensors, buffers, operators, inputs=(0,), outputs=(-1,)):
    """Write a file.

    Args:
        tensors: of `tensor`.
        buffers: arrays, from buffer 1 on.
        operators: (name or custom name, input numbers, output numbers, options).
        inputs: tensor numbers.
        outputs: tensor numbers.
    """
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers = 3, [buffer(), *map(buffer, buffers)]
    model.operatorCodes, graph.operators = [], []
    for number, (name, read, made, options) in enumerate(operators):
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = getattr(schema.BuiltinOperator, name, schema.BuiltinOperator.CUSTOM)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        if not hasattr(schema.BuiltinOperator, name):
            code.customCode = name
        model.operatorCodes.append(code)
        operator.opcodeIndex, operator.inputs, operator.outputs = number, list(read), list(made)
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = options
        graph.operators.append(operator)
    graph.tensors, graph.inputs = list(tensors), list(inputs)
    graph.outputs = [number % len(tensors) for number in outputs]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def sparsity(order, blocks, levels):
    """Describe a sparse layout; a level is a size, or segments and indices."""
    made = schema.SparsityParametersT()
    made.traversalOrder, made.blockMap, made.dimMetadata = list(order), list(blocks), []
    for level in levels:
        stored = schema.DimensionMetadataT()
        if isinstance(level, int):
            stored.format, stored.denseSize = schema.DimensionType.DENSE, level
        else:
            stored.format = schema.DimensionType.SPARSE_CSR
            for name, values in zip(("arraySegments", "arrayIndices"), level, strict=True):
                vector = schema.Int32VectorT()
                vector.values = list(values)
                setattr(stored, f"{name}Type", schema.SparseIndexVector.Int32Vector)
                setattr(stored, name, vector)
        made.dimMetadata.append(stored)
    return made


def sparse_product(weights):
    """Write x [1, 4] times float16 weights [3, 4], stored without zeros behind two operators."""
    rows, columns = np.nonzero(weights)
    segments = np.searchsorted(rows, np.arange(4))
    layout = sparsity([0, 1], [], [3, (segments, columns)])
    tensors = [
        tensor("x", (1, 4)),
        tensor("stored", (3, 4), 1, "float16", sparsity=layout),
        tensor("half", (3, 4), 0, "float16"),
        tensor("weights", (3, 4)),
        tensor("y", (1, 3)),
    ]
    operators = [
        ("DENSIFY", [1], [2], schema.DensifyOptionsT()),
        ("DEQUANTIZE", [2], [3], schema.DequantizeOptionsT()),
        ("FULLY_CONNECTED", [0, 3, -1], [4], schema.FullyConnectedOptionsT()),
    ]
    return write(tensors, [weights[rows, columns].astype(np.float16)], operators)
