"""Rows of networks that came with weights: their int8 files beside the float ones and a peer's.

Ranges are by squared error, kernels at the nearest points, biases corrected: what
`quantize_model.py` does without flags. The peer, `litert-quantizer`, gets the same float file and
the same samples; its latency is measured in turns with that of our file.
"""

from __future__ import annotations

import pathlib
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks import Context, Row, SkipRow, ptq_rows
from benchmarks.efficientnet_weights import PATH as _WEIGHTS
from benchmarks.efficientnet_weights import assign

NUM_SAMPLES = 256
NUM_WALKED = 1000  # samples for second moments, as many as `uniform-tf` takes
_TIMED_CALLS, _TURNS = 30, 15
_RESNET8 = "keras/pretrainedResnet.h5"
_PUBLISHED = "tflite/pretrainedResnet_quant.tflite"


def int8_file(graph: Any, batches: Sequence[Any], seed: int, **settings: Any) -> bytes:
    """Quantize a network without training, and make the file."""
    from learners.post_training.config import PostTrainingConfig
    from learners.post_training.recipe import quantize
    from utils.export.config import ConvertConfig
    from utils.export.conversion import Exported, convert_all
    from utils.graph import to_keras

    trained = quantize(graph, PostTrainingConfig(**settings), batches, seed=seed)
    deployed = to_keras(trained.deployed())
    network = Exported(name="after", model=deployed, deployed=deployed)
    made = convert_all([network], ["int8"], ConvertConfig(packed="never"), None)
    found = made["after", "int8"]
    if found.content is None:
        raise RuntimeError(found.failed)
    return found.content


def peer_file(content: bytes, name: str, batches: Sequence[Any]) -> bytes:
    """Let litert-quantizer calibrate and quantize a float file, by its own static int8 recipe.

    Raises:
        SkipRow: without the package.
    """
    from utils.errors import InputError
    from utils.export.litert_quantizer import require_package

    try:
        require_package()
    except InputError as error:
        raise SkipRow(str(error)) from error
    from litert_quantizer import qtyping, quantizer

    work = quantizer.Quantizer(bytearray(content))
    work.add_static_config(
        regex=".*",
        operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
        activation_num_bits=8,
        weight_num_bits=8,
    )
    samples = [{name: image[None]} for batch in batches for image in np.asarray(batch)]
    found = work.calibrate({"serving_default": samples}, num_threads=1)
    return bytes(work.quantize(found).quantized_model)


def beside_the_peer(context: Context) -> dict[str, float]:
    """The pretrained ResNet-20: our int8 file and the peer's, of one float file and samples.

    Returns:
        `top1` and `peer_top1` on the 10,000 test images, `points_lost` to the peer, `size_to_peer`,
        `time_to_peer`.
    """
    from utils.export.tflite import convert

    helper, model, graph = ptq_rows._resnet20(context)
    batches = [np.asarray(images) for images, _ in helper.build_dataset_calibration(NUM_SAMPLES)]
    peer = peer_file(convert(model, "float32"), graph.inputs[0].node, batches)
    own = int8_file(graph, batches, context.seed)
    top1 = ptq_rows._file_scores(own, model, helper)["top1"]
    peer_top1 = ptq_rows._file_scores(peer, model, helper)["top1"]
    return {
        "top1": top1,
        "peer_top1": peer_top1,
        "points_lost": 100 * (peer_top1 - top1),
        "size_to_peer": len(own) / len(peer),
        "time_to_peer": time_ratio(own, peer),
    }


def time_ratio(first: bytes, second: bytes) -> float:
    """Time two files in turns: the median quotient of their median latencies."""
    import time

    from utils.export.runner import timed_call

    calls = [timed_call(content) for content in (first, second)]
    quotients = []
    for _ in range(_TURNS):
        medians = []
        for call in calls:
            seen = []
            for _ in range(_TIMED_CALLS):
                start = time.perf_counter()
                call()
                seen.append(time.perf_counter() - start)
            medians.append(statistics.median(seen))
        quotients.append(medians[0] / medians[1])
    return statistics.median(quotients)


def resnet8(context: Context) -> dict[str, float]:
    """MLPerf Tiny's ResNet-8: our int8 file, and the published one, on the 10,000 test images.

    Returns:
        Top-1 of the float network, of our files by second moments and by the nearest points, and
        of the published one; `file_bytes` and `published_bytes`.
    """
    import keras

    from benchmarks import real_data
    from utils.graph import from_keras

    folder = context.data(_RESNET8, _PUBLISHED)
    model = keras.models.load_model(folder / _RESNET8, compile=False)
    images, labels = _cifar(real_data.cifar10_for_a_row(), "test_batch.bin")
    training, _ = _cifar(real_data.cifar10_for_a_row(), "data_batch_1.bin")
    batches = [training[start : start + 50] for start in range(0, NUM_WALKED, 50)]
    graph = from_keras(model)
    nearest = int8_file(graph, batches, context.seed)
    # Of all ranges and roundings these agree best with the float network on other training images.
    own = int8_file(graph, batches, context.seed, rounding="obq", calibration="percentile")
    published = (folder / _PUBLISHED).read_bytes()
    return {
        "float_top1": _share(lambda batch: model(batch, training=False), images, labels),
        "top1": _share(_runner(own), images, labels),
        "nearest_top1": _share(_runner(nearest), images, labels),
        "published_top1": _share(_runner(published), images, labels),
        "file_bytes": len(own),
        "published_bytes": len(published),
    }


def _cifar(folder: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Read a file of CIFAR-10's binary version: float32 [n, 32, 32, 3] in [0, 255], int [n]."""
    path = next(pathlib.Path(folder).rglob(name))
    rows = np.fromfile(path, np.uint8).reshape(-1, 3073)
    images = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return images.astype(np.float32), rows[:, 0].astype(int)


def _share(run: Callable[[Any], Any], images: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(_chosen(run, images) == labels))


def _chosen(run: Callable[[Any], Any], images: np.ndarray) -> np.ndarray:
    parts = [images[start : start + 100] for start in range(0, len(images), 100)]
    return np.concatenate([np.asarray(run(part)).argmax(-1) for part in parts])


def _runner(content: bytes) -> Callable[[Any], Any]:
    from utils.export.runner import TFLiteRunner

    return TFLiteRunner(content)


def efficientnet(context: Context) -> dict[str, float]:
    """EfficientNet-Lite0 with its ImageNet weights: int8 and float on 100 images.

    Calibrated on 100 photographs of another data set, which are not looked at otherwise.

    Returns:
        `agreement`, the images on which both choose one class; `golden_distance` of the float
        network to PyTorch's logits of five inputs; top-1 of both, `file_bytes` and `size_ratio` to
        float32.
    """
    import keras

    from nets.backbones import efficientnet_lite
    from utils.export.tflite import convert
    from utils.graph import from_keras

    golden = "pip_models/efficientnet_lite0_golden.npz"
    folder = context.data(golden, "imagenet_sample", "voc_sample/JPEGImages")
    if not _WEIGHTS.exists():
        raise SkipRow(f"needs {_WEIGHTS.name}: see benchmarks/efficientnet_weights.py")
    inputs = keras.Input(efficientnet_lite.INPUT_SHAPE, name="image")
    model = keras.Model(inputs, efficientnet_lite.build(inputs), name="efficientnet_lite0")
    with np.load(_WEIGHTS) as arrays:
        assign(model, arrays)
    with np.load(folder / golden) as expected:
        files, labels, logits = (expected[key] for key in ("files", "label", "logits"))
        first = (expected["x5"].astype(np.float32) - 127.0) / 128.0
    images = np.concatenate(list(_photographs(folder / "imagenet_sample", map(str, files))))
    others = sorted(path.name for path in (folder / "voc_sample" / "JPEGImages").glob("*.jpg"))
    calibration = list(_photographs(folder / "voc_sample" / "JPEGImages", others))
    batches = [np.concatenate(calibration[at : at + 10]) for at in range(0, len(others), 10)]
    before = np.concatenate([np.asarray(model(images[at : at + 20])) for at in range(0, 100, 20)])
    golden_error = np.asarray(model(first)) - logits[:5]
    own = int8_file(from_keras(model), batches, context.seed)
    chosen = _chosen(_runner(own), images)
    return {
        "agreement": int(np.sum(chosen == before.argmax(-1))),
        "golden_distance": float(np.linalg.norm(golden_error) / np.linalg.norm(logits[:5])),
        "top1": float(np.mean(chosen == labels)),
        "float_top1": float(np.mean(before.argmax(-1) == labels)),
        "file_bytes": len(own),
        "size_ratio": len(own) / len(convert(model, "float32")),
    }


def _photographs(folder: pathlib.Path, names: Any) -> Iterator[np.ndarray]:
    """Give each as the network sees it: the middle square, float32 [1, 224, 224, 3]."""
    from PIL import Image

    for name in names:
        with Image.open(folder / name) as opened:
            image = opened.convert("RGB")
        side = round(0.875 * min(image.size))
        left, top = ((size - side) // 2 for size in image.size)
        square = image.crop((left, top, left + side, top + side))
        pixels = np.asarray(square.resize((224, 224), Image.Resampling.BICUBIC), np.float32)
        yield ((pixels - 127.0) / 128.0)[None]


ROWS = (
    Row(
        name="resnet20-peer",
        run=beside_the_peer,
        target={
            "points_lost": "<= 0.05",
            "size_to_peer": "<= 1.02",
            "time_to_peer": "<= 1.05",
        },
        about="beside litert-quantizer on one float file and the same 256 samples",
    ),
    Row(
        name="resnet8-ptq",
        run=resnet8,
        target={"top1": ">= 0.871"},
        about="MLPerf Tiny's ResNet-8 without training, beside its published int8 file",
    ),
    Row(
        name="efficientnet-lite0-ptq",
        run=efficientnet,
        target={"agreement": ">= 95", "golden_distance": "<= 0.001"},
        about="EfficientNet-Lite0 with ImageNet weights, 100 images, calibrated on 100 others",
    ),
)
