"""Small ONNX networks, one case beside the other in one graph, against ONNX Runtime."""

import dataclasses
import pathlib
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from utils.frontends.layout import to_built, to_source
from utils.frontends.onnx.reader import convert


@dataclasses.dataclass
class Case:
    """One node: inputs are shapes (of tensors to be computed) or arrays (constants), in order."""

    op: str
    inputs: list
    attrs: dict = dataclasses.field(default_factory=dict)
    outputs: int = 1
    lowest: float = -2.0  # of the random inputs
    dtype: str = "float32"


def case(op, *inputs, outputs=1, lowest=-2.0, dtype="float32", **attrs):
    return Case(op, list(inputs), attrs, outputs, lowest, dtype)


def save(nodes, inputs, outputs, constants, path, opset=18):
    """Write a network; inputs are (name, shape, type) with None or text for open sizes."""
    graph = helper.make_graph(
        nodes,
        "net",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape
            )
            for name, shape, dtype in inputs
        ],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    for output in graph.output:
        output.ClearField("type")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.save(model, path)
    return str(path)


def network_of(cases, path, opset=18, batch="N"):
    """One graph of all cases; names of outputs are `<place>_<op>_<output>`."""
    nodes, inputs, outputs, constants = [], [], [], {}
    for place, one in enumerate(cases):
        names = []
        for number, item in enumerate(one.inputs):
            name = f"in{place}_{number}"
            if item is None:
                name = ""
            elif isinstance(item, tuple):
                inputs.append((name, (batch, *item[1:]), one.dtype))
            else:
                constants[name] = item
            names.append(name)
        made = [f"{place}_{one.op}_{number}" for number in range(one.outputs)]
        nodes.append(helper.make_node(one.op, names, made, name=f"{place}_{one.op}", **one.attrs))
        outputs += made
    return save(nodes, inputs, outputs, constants, path, opset)


def run_source(path, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_outputs()]
    types = {"tensor(int64)": np.int64, "tensor(double)": np.float64}
    wanted = {item.name: types.get(item.type) for item in session.get_inputs()}
    feeds = {name: array.astype(wanted[name] or array.dtype) for name, array in feeds.items()}
    return dict(zip(names, session.run(names, feeds), strict=True))


def run_built(converted, feeds):
    arrays = [to_built(feeds[name], order) for name, order in converted.input_orders.items()]
    made = converted.model(arrays if len(arrays) > 1 else arrays[0], training=False)
    made = made if isinstance(made, (list, tuple)) else [made]
    orders = converted.output_orders.items()
    return {
        name: to_source(np.asarray(tensor), order)
        for (name, order), tensor in zip(orders, made, strict=True)
    }


def random_feeds(converted, cases_by_input=None, batch=2, seed=0):
    random = np.random.default_rng(seed)
    feeds = {}
    for tensor, (name, order) in zip(
        converted.model.inputs, converted.input_orders.items(), strict=True
    ):
        built = [batch if size is None else size for size in tensor.shape]
        lowest = (cases_by_input or {}).get(name, -2.0)
        array = random.uniform(lowest, 2.0, built)
        array = array if "int" not in tensor.dtype else random.integers(0, 4, built)
        feeds[name] = to_source(array.astype(tensor.dtype), order)
    return feeds


def compare(path, tolerance=1e-5, lows=None, batch=2, **options):
    """Convert a file and compare all its outputs with ONNX Runtime's."""
    converted = convert(str(path), **options)
    feeds = random_feeds(converted, lows, batch)
    made, wanted = run_built(converted, feeds), run_source(str(path), feeds)
    for name in wanted:
        assert made[name].shape == wanted[name].shape, name
        size = max(np.abs(wanted[name]).max(), 1e-3) if wanted[name].size else 1.0
        gap = np.abs(made[name].astype(np.float64) - wanted[name]).max()
        assert gap <= tolerance * size, f"{name}: {gap / size:.2e}"
    return converted


def assert_agrees(cases, opset=18, batch="N", **options):
    """Convert the graph of all cases and compare every output."""
    with tempfile.TemporaryDirectory() as folder:
        path = network_of(cases, pathlib.Path(folder) / "cases.onnx", opset, batch)
        lows = {
            f"in{place}_{number}": one.lowest
            for place, one in enumerate(cases)
            for number in range(len(one.inputs))
        }
        return compare(path, lows=lows, batch=2 if batch == "N" else batch, **options)


def kinds(converted):
    """Class names of all operations of the Keras network."""
    return [operation.__class__.__name__ for operation in converted.model.operations]
