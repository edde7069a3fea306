"""Rows of post-training quantization, which `int8_bench.py` lists with the others.

Each runs the recipe as `quantize_model.py` does, on networks and samples that the machine has.
"""

from __future__ import annotations

import resource
import time
from typing import Any

import numpy as np

from benchmarks import Context, Row, real_data
from benchmarks.trained import mobilenet_v2

NUM_SAMPLES = 256
SPREAD = 100.0  # planted between the channels of a depthwise layer


def resnet20_file(context: Context, **settings: Any) -> dict[str, float]:
    """Accuracy and size of the int8 file of the pretrained ResNet-20, beside the float network.

    Args:
        context: the row's.
        **settings: fields of `PostTrainingConfig`.

    Returns:
        `top1`, `float_top1`, `points_lost`, `agreement` (fractions and points of 10,000 images),
        `file_bytes`, `size_ratio` to the float file, `seconds` to quantize.
    """
    from learners.post_training.config import PostTrainingConfig
    from learners.post_training.recipe import quantize
    from utils.export.config import ConvertConfig
    from utils.export.conversion import Exported, convert_all
    from utils.graph import to_keras

    helper, model, graph = _resnet20(context)
    batches = [np.asarray(images) for images, _ in helper.build_dataset_calibration(NUM_SAMPLES)]
    start = time.perf_counter()
    trained = quantize(graph, PostTrainingConfig(**settings), batches, seed=context.seed)
    seconds = time.perf_counter() - start
    deployed = to_keras(trained.deployed())
    networks = [
        Exported(name="before", model=model),
        Exported(name="after", model=deployed, deployed=deployed),
    ]
    convert = ConvertConfig(packed="never")
    size = len(
        convert_all(networks[:1], ["float32"], convert, None)[("before", "float32")].content or b""
    )
    made = convert_all(networks[1:], ["int8"], convert, None)[("after", "int8")]
    if made.content is None:
        raise RuntimeError(made.failed)
    found = _file_scores(made.content, model, helper)
    return {
        **found,
        "file_bytes": len(made.content),
        "size_ratio": len(made.content) / size,
        "seconds": seconds,
    }


def _resnet20(context: Context) -> tuple[Any, Any, Any]:
    import nets
    from nets.pretrained import load_pretrained
    from utils import flags
    from utils.graph import from_keras

    helper_class = nets.load_helper_class("resnet_at_cifar10")
    argv = ["--resnet_size=20", f"--data_dir_local={real_data.cifar10_for_a_row()}"]
    config = flags.parse(argv, [helper_class.config_class]).configs[helper_class.config_class]
    helper = helper_class(config, seed=context.seed)
    model = helper.build_model()
    weights = "weights/resnet20.npz"
    load_pretrained(model, context.data(weights) / weights, helper.npz_to_weights)
    return helper, model, from_keras(model)


def _file_scores(content: bytes, model: Any, helper: Any) -> dict[str, float]:
    from utils.export.runner import TFLiteRunner

    runner = TFLiteRunner(content)
    right = before_right = same = count = 0
    for images, truth in helper.build_dataset_eval():
        labels = np.asarray(helper.plain_labels(truth))
        labels = labels.argmax(-1) if labels.ndim > 1 else labels
        chosen = np.asarray(runner(np.asarray(images))).argmax(-1)
        before = np.asarray(model(images, training=False)).argmax(-1)
        right += int(np.sum(chosen == labels))
        before_right += int(np.sum(before == labels))
        same += int(np.sum(chosen == before))
        count += len(labels)
    return {
        "top1": right / count,
        "float_top1": before_right / count,
        "points_lost": 100 * (before_right - right) / count,
        "agreement": same / count,
    }


def resnet50_seconds(context: Context) -> dict[str, float]:
    """Time of calibrating and rounding ResNet-50 at 224 (random weights) with 100 samples.

    Returns:
        `seconds`, `cpu_seconds`, and `peak_mib` of the process, the network included.
    """
    import keras

    from learners.post_training.config import PostTrainingConfig
    from learners.post_training.recipe import quantize
    from utils.graph import from_keras

    keras.utils.set_random_seed(context.seed)
    graph = from_keras(keras.applications.ResNet50(weights=None))
    rng = np.random.default_rng(context.seed)
    batches = [rng.normal(size=(20, 224, 224, 3)).astype(np.float32) for _ in range(5)]
    config = PostTrainingConfig(calibration="minmax", bias_correction=False)
    start, cpu = time.perf_counter(), time.process_time()
    quantize(graph, config, batches)
    return {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def planted_spread(context: Context) -> dict[str, float]:
    """MobileNetV2 x0.25 with a spread of 100 planted in each depthwise layer, one scale per layer.

    Returns:
        Top-1 of the float network (its ReLU6 are ReLUs), of per-layer quantization, and of it with
        equalization and bias correction, as fractions of the test images; `points_lost` of the
        last.
    """
    import keras

    from learners.post_training.config import PostTrainingConfig
    from learners.post_training.recipe import quantize
    from utils.graph import from_keras, to_keras

    path, _ = mobilenet_v2(context)
    graph = with_spread(from_keras(keras.models.load_model(path)), context.seed)
    helper = _mobilenet_helper(context)
    batches = [np.asarray(images) for images, _ in helper.build_dataset_calibration(NUM_SAMPLES)]
    settings = {
        "per_layer": PostTrainingConfig(weight_quan="perlayer", bias_correction=False),
        "equalized": PostTrainingConfig(weight_quan="perlayer", equalize=True),
    }
    found = {"float_top1": _top1(to_keras(graph), helper)}
    for name, config in settings.items():
        trained = quantize(graph, config, batches, seed=context.seed)
        found[name] = _top1(to_keras(trained.simulated()), helper)
    return {**found, "points_lost": 100 * (found["float_top1"] - found["equalized"])}


def with_spread(graph: Any, seed: int) -> Any:
    """Plant a spread between the channels of depthwise layers; batch norms take it back.

    Args:
        graph: a network with a batch norm behind each depthwise layer.
        seed: of the factors.

    Returns:
        A network with equal outputs, whose depthwise kernels, batch norm folded or not, differ by
        up to `SPREAD` from channel to channel: a norm's scale and offset are multiplied, and the
        layer that reads the channels is divided.
    """
    from utils.graph.integer_form import inference_form, integer_form
    from utils.quantization.equalization import pairs, unbounded

    folded = unbounded(inference_form(integer_form(graph))[0])
    rng = np.random.default_rng(seed)
    params = {layer: dict(arrays) for layer, arrays in folded.params.items()}
    for pair in pairs(folded):
        if "Depthwise" not in folded.node(pair.first).op:
            continue
        made, read = params[pair.first], params[pair.second]
        exponents = rng.uniform(-0.5, 0.5, made["kernel"].shape[-2])
        factors = np.power(SPREAD, exponents).astype(np.float32)
        made["kernel"] = made["kernel"] * factors[:, None]
        made["bias"] = made["bias"] * factors
        read["kernel"] = read["kernel"] / factors[:, None]
    return folded.replace(params=params)


def _mobilenet_helper(context: Context) -> Any:
    import nets
    from utils import flags

    helper_class = nets.load_helper_class("mobilenet_at_cifar10")
    argv = [
        "--mobilenet_version=2",
        "--mobilenet_depth_mult=0.25",
        f"--data_dir_local={real_data.cifar10_for_a_row()}",
    ]
    config = flags.parse(argv, [helper_class.config_class]).configs[helper_class.config_class]
    return helper_class(config, seed=context.seed)


def _top1(model: Any, helper: Any) -> float:
    right = count = 0
    for images, truth in helper.build_dataset_eval():
        labels = np.asarray(helper.plain_labels(truth))
        labels = labels.argmax(-1) if labels.ndim > 1 else labels
        right += int(np.sum(np.asarray(model(images, training=False)).argmax(-1) == labels))
        count += len(labels)
    return right / count


ROWS = (
    Row(
        name="quantize-model-resnet20",
        run=resnet20_file,
        target={"points_lost": "<= 0.1", "agreement": ">= 0.99", "size_ratio": "<= 0.30"},
        about="quantize_model.py: ranges by squared error, nearest, biases corrected",
    ),
    Row(
        name="quantize-model-resnet20-scale-shift",
        run=lambda context: resnet20_file(context, strategy="scale_shift", weight_quan="perlayer"),
        target={},
        about="the same with powers of two as scales, one per layer, for comparison",
    ),
    Row(
        name="resnet50-calibration",
        run=resnet50_seconds,
        target={"seconds": "<= 60"},
        about="ResNet-50 at 224, random weights: min-max, scales per channel, 100 samples",
    ),
    Row(
        name="mobilenet-planted-spread",
        run=planted_spread,
        target={"points_lost": "<= 1.0"},
        about="a spread of 100 planted in depthwise layers: equalization and bias correction",
    ),
)
