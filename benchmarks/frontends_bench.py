"""Front ends: how fast and how sound conversions are, two networks from their files to int8."""

from __future__ import annotations

import functools
import os
import pathlib
import random
import signal
import statistics
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from benchmarks import Context, Row
from benchmarks.graph_bench import mutated
from benchmarks.rows import SkipRow

if TYPE_CHECKING:
    import numpy as np

SOURCES = ("utils/frontends", "utils/graph", "nets", "learners", "pipeline", "examples")

_NUM_INPUTS = 20_000
_HANG_S = 5.0
_ROUNDS = 5
_CIFAR_WEIGHTS = "weights/resnet20-12fca82f.th"
_ROOT = pathlib.Path(__file__).parents[1]
_TORCH_NET = f"{_ROOT / 'examples' / 'torch_resnet20.py'}:resnet20"


# --- speed ---------------------------------------------------------------------------------------


def _onnx_resnet50(context: Context) -> Mapping[str, object]:
    """Convert a file as large as ResNet-50: ONNX to graph to Keras."""
    from utils.frontends.onnx.reader import convert
    from utils.graph import from_keras, to_keras

    path = context.work_dir / "resnet50.onnx"
    write_resnet50(path, context.seed)
    convert(str(path))  # the first one also imports what it needs
    seconds = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        graph = from_keras(convert(str(path)).model)
        to_keras(graph)
        seconds.append(time.perf_counter() - start)
    return {"seconds": statistics.median(seconds), "nodes": len(graph.nodes)}


def write_resnet50(path: pathlib.Path, seed: int) -> None:
    """Write ResNet-50 v1b with random weights as ONNX.

    Args:
        path: the file.
        seed: of the weights.
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

    x, wide = unit("image", 3, 64, 7, 2), 64
    x = add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for stage, (width, repeats) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
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


def _speed(context: Context) -> Mapping[str, object]:
    """Train and run ResNet-20 from PyTorch and the one written here, in turns."""
    import keras
    import numpy as np

    from nets.backbones import resnet_cifar
    from utils.frontends.torch.reader import convert

    inputs = keras.Input((32, 32, 3))
    networks = {
        "converted": convert(_TORCH_NET, input_shape="-1,3,32,32").model,
        "written": keras.Model(inputs, resnet_cifar.build(inputs, 10)),
    }
    draw = np.random.default_rng(context.seed)
    images = draw.normal(size=(128, 32, 32, 3)).astype(np.float32)
    labels = draw.integers(0, 10, 128)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for network in networks.values():
        network.compile(keras.optimizers.SGD(0.01), loss)
    works: dict[str, Callable[[Any], Any]] = {
        "training": lambda network: network.train_on_batch(images, labels),
        "inference": lambda network: network.predict_on_batch(images),
    }
    found = {}
    for work, run in works.items():
        for network in networks.values():
            run(network)  # traced
        quotients = []
        for _ in range(4 * _ROUNDS):
            seconds = {
                name: _seconds(functools.partial(run, net)) for name, net in networks.items()
            }
            quotients.append(seconds["written"] / seconds["converted"])
        found[work] = statistics.median(quotients)
    return found


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


# --- soundness -----------------------------------------------------------------------------------


def _fuzz(context: Context) -> Mapping[str, object]:
    return fuzz(context.work_dir, context.seed, _NUM_INPUTS)


def fuzz(folder: pathlib.Path, seed: int, num_inputs: int) -> dict[str, object]:
    """Convert damaged files of every front end.

    Args:
        folder: to work in.
        seed: of the mutations; input i draws from (seed, i).
        num_inputs: number of mutated inputs, shared out among the front ends.

    Returns:
        How many were refused with one line, how many converted (the mutation was harmless), how
        many ended in another exception or took longer than 5 s, and the first such input.
    """
    from utils.errors import InputError

    cases = originals(folder)
    counts: dict[str, Any] = dict.fromkeys(("refused", "converted", "crashes", "hangs"), 0)
    first_bad, slowest = None, 0.0
    signal.signal(signal.SIGALRM, _hang)
    for number in range(num_inputs):
        framework, read, files = cases[number % len(cases)]
        for name, content in mutated(files, random.Random(f"{seed}-{number}")).items():
            (folder / name).write_bytes(content)
        started = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, _HANG_S)
        try:
            read()
            outcome = "converted"
        except InputError:
            outcome = "refused"
        except _HangError:
            outcome = "hangs"
        except Exception as error:  # what the fuzz is there to find
            outcome = "crashes"
            told = f"input {number} ({framework}): {type(error).__name__}: {error}"
            first_bad = first_bad or told[:200]
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        counts[outcome] += 1
        slowest = max(slowest, time.perf_counter() - started)
        if number % 200 == 199:
            import keras

            keras.backend.clear_session()
    return {"inputs": num_inputs, **counts, "slowest_s": slowest, "first_bad": first_bad}


class _HangError(BaseException):
    """Raised by the alarm; no handler of exceptions on the way may swallow it."""


def _hang(*_: object) -> None:
    raise _HangError


_Case = tuple[str, Callable[[], Any], dict[str, bytes]]


def originals(folder: pathlib.Path) -> list[_Case]:
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
    found: list[_Case] = [
        (
            framework,
            functools.partial(convert, framework, folder / path, **options),
            contents(names),
        )
        for framework, path, options, names in cases
    ]
    if importlib.util.find_spec("torch") and importlib.util.find_spec("onnx"):
        from utils.frontends.torch.reader import load_module

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

    from utils.frontends.torch.reader import load_module

    source = (
        "from torch import nn\n\n\n"
        "def net():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))\n"
    )
    (folder / "torch_net.py").write_text(source)
    name = f"{folder / 'torch_net.py'}:net"
    torch.save(load_module(name).state_dict(), folder / "net.pth")
    return name


# --- two networks from their files to int8 -------------------------------------------------------


def _torch_resnet20(context: Context) -> Mapping[str, object]:
    """PyTorch's ResNet-20, channels cut to 0.6 of the FLOPs, then int8, fine-tuned 3 + 2 epochs."""
    import json

    import main
    from benchmarks import real_data

    weights = context.data(_CIFAR_WEIGHTS) / _CIFAR_WEIGHTS
    folder = context.work_dir / "run"
    status = main.run([
        f"--model={_TORCH_NET}", f"--weights={weights}", "--input_shape=-1,3,32,32",
        "--data=cifar10", f"--data_dir_local={real_data.cifar10_for_a_row()}",
        "--learner=chn-pruned-rmt,uniform-tf", "--budget=flops:0.6", "--nb_epochs=3,2",
        "--tflite=float32,int8", f"--out_dir={folder}", f"--seed={context.seed}",
    ])  # fmt: skip
    if status:
        raise RuntimeError(f"the run ended with status {status}")
    report = json.loads((folder / "report.json").read_text())
    return story_figures(report)


def story_figures(report: Mapping[str, Any]) -> dict[str, float]:
    """Take the figures of a story out of its report.

    Args:
        report: the parsed `report.json`.
    """
    before, after = report["before"], report["after"]
    files = [each for each in report["files"] if each["network"] == "after"]
    int8 = next(each for each in files if each["kind"] == "int8")
    return {
        "before_top1": before["top1"],
        "after_top1": after["top1"],
        "int8_top1": int8["top1"],
        "flops_kept": after["flops"] / before["flops"],
        "int8_bytes": int8["file_bytes"],
    }


def _efficientnet(context: Context) -> Mapping[str, object]:
    """EfficientNet-Lite0 with 0.7 of its FLOPs, int8, by closed forms alone: nothing is trained.

    The photographs that layers are solved on carry the network's own answers as labels; they are of
    another data set than the 100 that the answers before and after are compared on.
    """
    import keras
    import numpy as np

    from benchmarks.efficientnet_weights import PATH, assign
    from benchmarks.int8_rows import _chosen, _photographs, _runner
    from flowpress import compress
    from nets.backbones import efficientnet_lite

    golden = "pip_models/efficientnet_lite0_golden.npz"
    folder = context.data(golden, "imagenet_sample", "voc_sample/JPEGImages")
    if not PATH.exists():
        raise SkipRow(f"needs {PATH.name}: see benchmarks/efficientnet_weights.py")
    inputs = keras.Input(efficientnet_lite.INPUT_SHAPE, name="image")
    model = keras.Model(inputs, efficientnet_lite.build(inputs), name="efficientnet_lite0")
    with np.load(PATH) as arrays:
        assign(model, arrays)
    with np.load(folder / golden) as expected:
        files, labels = expected["files"], expected["label"]
    images = np.concatenate(list(_photographs(folder / "imagenet_sample", map(str, files))))
    names = sorted(path.name for path in (folder / "voc_sample" / "JPEGImages").glob("*.jpg"))
    others = np.concatenate(list(_photographs(folder / "voc_sample" / "JPEGImages", names)))
    run = lambda batch: model(batch, training=False)  # noqa: E731
    before, own = _chosen(run, images), _chosen(run, others)
    report = compress(
        model,
        (others, own),
        (images, before),
        budget="flops:0.7",
        nb_epochs=0,
        tflite="int8",
        cpr_nb_smpls=len(others),
        tflite_max_gap=1,
        tflite_min_agreement=0,
        batch_size=10,
        batch_size_eval=10,
        out_dir=str(context.work_dir / "run"),
    )
    int8 = _chosen(_runner((context.work_dir / "run" / "model_int8.tflite").read_bytes()), images)
    after = _chosen(lambda batch: report.model(batch, training=False), images)
    return {
        "agreement_float": int(np.sum(after == before)),
        "agreement_int8": int(np.sum(int8 == before)),
        "top1_before": float(np.mean(before == labels)),
        "top1_int8": float(np.mean(int8 == labels)),
        "flops_kept": report.after.flops / report.before.flops,
    }


ROWS = (
    Row(
        name="onnx-resnet50",
        run=_onnx_resnet50,
        target={"seconds": "<= 10"},
        about="ONNX of ResNet-50's size to graph to Keras",
    ),
    Row(
        name="resnet20-speed",
        run=_speed,
        target={"training": ">= 0.95", "inference": ">= 0.95"},
        about="ResNet-20 from PyTorch: speed as part of the hand-written one's, in turns",
    ),
    Row(
        name="fuzz",
        run=_fuzz,
        target={"crashes": "== 0", "hangs": "== 0", "slowest_s": "<= 5"},
        about="20,000 damaged files of all front ends",
    ),
    Row(
        name="torch-resnet20-int8",
        run=_torch_resnet20,
        target={"int8_top1": ">= 0.88", "flops_kept": "<= 0.6"},
        about="PyTorch's ResNet-20: chn-pruned-rmt,uniform-tf to an int8 .tflite, 10,000 images",
    ),
    Row(
        name="efficientnet-lite0-70",
        run=_efficientnet,
        target={"flops_kept": "<= 0.7"},
        about="EfficientNet-Lite0, 30 % fewer FLOPs, int8, closed forms only: on how many of 100 "
        "images it answers as before",
    ),
)
