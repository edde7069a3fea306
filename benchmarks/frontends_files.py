"""Networks as files of every framework, for the rows of front ends."""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Case = tuple[str, Callable[[], Any], dict[str, bytes]]
"""Framework, what reads it, and the files that are mutated by name."""


def originals(folder: pathlib.Path) -> list[Case]:
    """Write a small network in every format.

    Args:
        folder: where.

    Returns:
        Per case: framework, what reads it, and the files that are mutated by name. Of PyTorch the
        state dict is read; a module that takes it goes the way of ONNX.
    """
    import importlib.util

    import keras
    from keras import layers

    from utils.export.frozen_graph import frozen_graph
    from utils.export.saved_model import write_saved_model
    from utils.export.tflite import convert as to_tflite
    from utils.frontends.convert import convert

    inputs = keras.Input((6, 6, 3), name="image")
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(inputs))
    x = layers.DepthwiseConv2D(3)(layers.ReLU()(x))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    (folder / "net.pb").write_bytes(frozen_graph(model))
    (folder / "net.tflite").write_bytes(to_tflite(model, "float32"))
    model.save(folder / "net.keras")
    write_saved_model(model, folder / "saved")
    variables = {
        f"saved/variables/{path.name}": path for path in (folder / "saved" / "variables").iterdir()
    }
    cases: list[tuple[str, str, dict[str, Any], list[str]]] = [
        ("tensorflow", "net.pb", {}, ["net.pb"]),
        ("tensorflow", "saved", {}, ["saved/saved_model.pb", *variables]),
        ("tflite", "net.tflite", {}, ["net.tflite"]),
        ("keras", "net.keras", {}, ["net.keras"]),
    ]
    if importlib.util.find_spec("onnx"):
        _write_onnx(folder / "net.onnx")
        cases.append(("onnx", "net.onnx", {}, ["net.onnx"]))
    mxnet = pathlib.Path(os.environ.get("FLOWPRESS_DATA", ""), "mxnet")
    if (mxnet / "digits_resnet-symbol.json").is_file():
        for name in ("digits_resnet-symbol.json", "digits_resnet-0015.params"):
            (folder / name).write_bytes((mxnet / name).read_bytes())
        options = {"input_shape": "1,1,8,8"}
        names = ["digits_resnet-symbol.json", "digits_resnet-0015.params"]
        cases.append(("mxnet", "digits_resnet", options, names))
    contents = lambda names: {name: (folder / name).read_bytes() for name in names}  # noqa: E731
    found: list[Case] = [
        (
            framework,
            functools.partial(convert, framework, folder / path, **options),
            contents(names),
        )
        for framework, path, options, names in cases
    ]
    if importlib.util.find_spec("torch") and importlib.util.find_spec("onnx"):
        from utils.frontends.torch.module import load_module

        net, weights = _write_torch(folder), str(folder / "net.pth")
        found.append(("torch", functools.partial(load_module, net, weights), contents(["net.pth"])))
    return found


def _write_onnx(path: pathlib.Path) -> None:
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    kernel = numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")
    shape = numpy_helper.from_array(np.array([1, -1], np.int64), "shape")
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("Reshape", ["r", "shape"], ["y"], name="flat"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", 1, [1, 3, 6, 6])],
        [helper.make_tensor_value_info("y", 1, [1, 144])],
        [kernel, shape],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)


def _write_torch(folder: pathlib.Path) -> str:
    """Write a module and its state dict; give the module's name."""
    import torch

    from utils.frontends.torch.module import load_module

    source = (
        "from torch import nn\n\n\n"
        "def net():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))\n"
    )
    (folder / "torch_net.py").write_text(source)
    name = f"{folder / 'torch_net.py'}:net"
    torch.save(load_module(name).state_dict(), folder / "net.pth")
    return name


def write_resnet50(path: pathlib.Path, seed: int, first: int = 64) -> None:
    """Write ResNet-50 v1b with random weights as ONNX.

    Args:
        path: the file.
        seed: of the weights.
        first: channels of the first convolution; the others grow from it.
    """
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    draw = np.random.default_rng(seed)
    nodes: list[Any] = []
    stored: list[Any] = []

    def constant(name: str, array: np.ndarray) -> str:
        stored.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def add(op: str, inputs: list[str], **attrs: Any) -> str:
        name = f"{op}_{len(nodes)}"
        nodes.append(helper.make_node(op, inputs, [name], name=name, **attrs))
        return name

    def unit(x: str, wide: int, width: int, size: int, stride: int, relu: bool = True) -> str:
        number, pad = len(nodes), size // 2
        kernel = constant(f"w{number}", draw.normal(size=(width, wide, size, size)) * 0.05)
        x = add("Conv", [x, kernel], strides=[stride] * 2, pads=[pad] * 4)
        parts = [constant(f"{part}{number}", draw.uniform(0.5, 1.5, width)) for part in "gbmv"]
        x = add("BatchNormalization", [x, *parts])
        return add("Relu", [x]) if relu else x

    x, wide = unit("image", 3, first, 7, 2), first
    x = add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for stage, repeats in enumerate((3, 4, 6, 3)):
        width = first * 2**stage
        for block in range(repeats):
            stride = 2 if stage and not block else 1
            y = unit(x, wide, width, 1, 1)
            y = unit(y, width, width, 3, stride)
            y = unit(y, width, 4 * width, 1, 1, relu=False)
            if not block:
                x = unit(x, wide, 4 * width, 1, stride, relu=False)
            x, wide = add("Relu", [add("Add", [x, y])]), 4 * width
    x = add("Flatten", [add("GlobalAveragePool", [x])])
    weights = [
        constant("fc", draw.normal(size=(1000, wide)) * 0.01),
        constant("bias", np.zeros(1000)),
    ]
    add("Gemm", [x, *weights], transB=1)
    graph = helper.make_graph(
        nodes,
        "resnet50",
        [helper.make_tensor_value_info("image", 1, [None, 3, 224, 224])],
        [helper.make_tensor_value_info(nodes[-1].output[0], 1, [None, 1000])],
        stored,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
