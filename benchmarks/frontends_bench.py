"""Front ends: how fast and how sound conversions are, two networks from their files to int8."""

from __future__ import annotations

import functools
import pathlib
import random
import signal
import statistics
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from benchmarks import Context, Row
from benchmarks.frontends_files import originals, write_resnet50
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
    for _, read, _ in cases:
        read()  # untimed: the first of each imports what it needs
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
    """EfficientNet-Lite0 with 0.7 of its FLOPs, int8; what it is solved on is another data set."""
    import keras
    import numpy as np

    from benchmarks.efficientnet_weights import PATH, assign
    from benchmarks.int8_rows import _photographs
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
        files = expected["files"]
    names = sorted(path.name for path in (folder / "voc_sample" / "JPEGImages").glob("*.jpg"))
    images, others = (
        np.concatenate(list(_photographs(folder / place, chosen)))
        for place, chosen in (
            ("imagenet_sample", map(str, files)),
            ("voc_sample/JPEGImages", names),
        )
    )
    many = {"cpr_nb_crops_per_smpl": 100}  # so few images have fewer positions than unknowns else
    return closed_form(model, images, others, context.work_dir / "run", budget="flops:0.7", **many)


def closed_form(
    model: Any, images: np.ndarray, others: np.ndarray, folder: pathlib.Path, **settings: Any
) -> dict[str, float]:
    """Cut a network and make it int8 without training or labels; compare its answers.

    Args:
        model: a classifier.
        images: to compare answers on, [samples, …]; nothing is chosen by them.
        others: what layers are solved on and ranges come from; labelled by the network itself.
        folder: for the run's files.
        **settings: further options of `compress`: the budget.

    Returns:
        The share of images on which the cut network and its int8 file answer as before, and of the
        FLOPs that are left.
    """
    import numpy as np

    from benchmarks.int8_rows import _chosen, _runner
    from flowpress import compress

    run = lambda batch: model(batch, training=False)  # noqa: E731
    before, own = _chosen(run, images), _chosen(run, others)
    report = compress(
        model,
        (others, own),
        (images, before),
        nb_epochs=0,
        tflite="int8",
        cpr_nb_smpls=len(others),
        tflite_max_gap=1,
        tflite_min_agreement=0,
        batch_size=10,
        batch_size_eval=10,
        out_dir=str(folder),
        **settings,
    )
    after = _chosen(lambda batch: report.model(batch, training=False), images)
    int8 = _chosen(_runner((folder / "model_int8.tflite").read_bytes()), images)
    return {
        "agreement_float": float(np.mean(after == before)),
        "agreement_int8": float(np.mean(int8 == before)),
        "flops_kept": float(report.after.flops or 0) / float(report.before.flops or 1),
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
        about="EfficientNet-Lite0, 30 % fewer FLOPs, int8, closed forms only: the share of 100 "
        "images on which it answers as before",
    ),
)
