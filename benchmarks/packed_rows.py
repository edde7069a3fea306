"""Files of few bits: bytes against the bits counted by hand, and whether they give the same.

Kernels are rounded to a symmetric grid of each output channel whose end is the channel's largest
weight: the bytes of a file do not depend on how good its weights are. Rows of the topic `bits`.
"""

from __future__ import annotations

import functools

import keras
import numpy as np

from benchmarks import Context, Row, real_data

NUM_INPUTS = 20  # that TensorFlow Lite Micro runs; 0.1 s each for ResNet-20
_NUM_IMAGES = 500
_NUM_CALIBRATION = 100


def rounded(model: keras.Model, bits: int) -> keras.Model:
    """Round all kernels of a network to 2^bits - 1 values for each output channel.

    Args:
        model: convolutions and dense layers; it is changed.
        bits: of a weight.

    Returns:
        The model.
    """
    steps = 2 ** (bits - 1) - 1
    for variable in model.weights:
        kernel = np.asarray(variable)
        if kernel.ndim >= 2:
            largest = np.abs(kernel).max(tuple(range(kernel.ndim - 1)))
            scale = largest / np.float32(steps)
            variable.assign(np.rint(kernel / scale) * scale)
    return model


def packed_figures(model: keras.Model, bits: int, images: np.ndarray) -> dict[str, object]:
    """Write a network as a packed file, read it and compare.

    Args:
        model: kernels as `rounded` leaves them, all else float32.
        bits: of a weight.
        images: to run both networks on.

    Returns:
        Bytes of the file and of its numbers; `computed`: bytes of indices, scales and floats;
        `payload_to_computed`; the part of the weights and of the outputs that are equal.
    """
    from utils.graph import from_keras, to_keras
    from utils.quantization.packed import pack, payload_bytes, unpack

    content = pack(from_keras(model))
    loaded = to_keras(unpack(content))
    computed = 0.0
    for weight in model.get_weights():
        kernel_bits = weight.size * bits + 32 * weight.shape[-1] if weight.ndim >= 2 else 0
        computed += (kernel_bits or 8 * weight.nbytes) / 8
    pairs = list(zip(model.get_weights(), loaded.get_weights(), strict=True))
    outputs = [network.predict(images, verbose=0) for network in (model, loaded)]
    return {
        "bytes": len(content),
        "payload_bytes": payload_bytes(content),
        "computed": computed,
        "payload_to_computed": payload_bytes(content) / computed,
        "equal_weights": sum(int(np.sum(a == b)) for a, b in pairs) / sum(a.size for a, _ in pairs),
        "equal_outputs": float(np.mean(outputs[0] == outputs[1])),
    }


def decode_figures(model: keras.Model, bits: int, images: np.ndarray) -> dict[str, object]:
    """Write a network as an int8 file and with its weights as indices, and run both.

    Args:
        model: kernels as `rounded` leaves them.
        bits: of a weight.
        images: to calibrate with.

    Returns:
        Bytes of both files; `computed`: those of the int8 file with indices of so many bits and
        tables for each weight tensor that is decoded, instead of a byte a weight; the ratio; the
        part of the inputs on which TensorFlow Lite Micro gives equal outputs.
    """
    from utils.export.decode_tables import with_decode
    from utils.export.tflite import convert
    from utils.export.tflm import TFLMRunner

    plain = convert(model, "int8", [images])
    content, tensors = with_decode(plain)
    table = 2**bits - 1
    saved = sum(t.weights - t.weights * bits / 8 - t.tables * table for t in tensors)
    computed = len(plain) - saved
    runners = [TFLMRunner(plain), TFLMRunner(content)]
    inputs = runners[0].random_inputs(NUM_INPUTS)
    expected, outputs = (runner.run(inputs) for runner in runners)
    equal = [
        all(map(np.array_equal, one, other)) for one, other in zip(expected, outputs, strict=True)
    ]
    return {
        "int8_bytes": len(plain),
        "bytes": len(content),
        "computed": computed,
        "bytes_to_computed": len(content) / computed,
        "decoded_tensors": len(tensors),
        "equal_inputs": sum(equal) / len(equal),
    }


def resnet_8() -> keras.Model:
    """Build the ResNet-8 of MLPerf Tiny, with the weights that it begins with: 78,666 weights."""
    inputs = x = keras.Input((32, 32, 3), name="images")
    x = _unit(x, 16, 1, "relu")
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        shortcut = x
        x = _unit(_unit(x, channels, stride, "relu"), channels, 1, None)
        if stride > 1:
            shortcut = keras.layers.Conv2D(channels, 1, strides=stride)(shortcut)
        x = keras.layers.ReLU()(keras.layers.Add()([x, shortcut]))
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(8)(x))
    return keras.Model(inputs, keras.layers.Dense(10)(x), name="resnet_8")


def _unit(
    x: keras.KerasTensor, channels: int, stride: int, activation: str | None
) -> keras.KerasTensor:
    x = keras.layers.Conv2D(channels, 3, strides=stride, padding="same")(x)
    x = keras.layers.BatchNormalization()(x)
    return x if activation is None else keras.layers.Activation(activation)(x)


def packed_file(context: Context, bits: int) -> dict[str, object]:
    """Measure the packed file of the pretrained ResNet-20."""
    model, images = _resnet_20(context)
    return packed_figures(rounded(model, bits), bits, images)


def decode_file(context: Context, size: int, bits: int) -> dict[str, object]:
    """Measure the DECODE file of the pretrained ResNet-20, or of ResNet-8."""
    model, images = _resnet_20(context)
    if size == 8:
        model = resnet_8()
    return decode_figures(rounded(model, bits), bits, images[:_NUM_CALIBRATION])


def _resnet_20(context: Context) -> tuple[keras.Model, np.ndarray]:
    from datasets.config import DataConfig
    from nets.pretrained import load_pretrained
    from nets.resnet_at_cifar10 import ModelHelper

    keras.utils.set_random_seed(context.seed)
    data = DataConfig(data_dir_local=real_data.cifar10_for_a_row())
    helper = ModelHelper(ModelHelper.config_class(data=data), seed=context.seed)
    model = helper.build_model()
    weights = "weights/resnet20.npz"
    load_pretrained(model, context.data(weights) / weights, helper.npz_to_weights)
    batches = helper.build_dataset_calibration(_NUM_IMAGES)
    images = [batch[0] if isinstance(batch, tuple) else batch for batch in batches]
    return model, np.concatenate([np.asarray(batch) for batch in images])


def _rows() -> list[Row]:
    rows = [
        Row(
            name=f"packed-resnet20-w{bits}",
            run=functools.partial(packed_file, bits=bits),
            target={
                "payload_to_computed": "<= 1.02",
                "equal_weights": "== 1",
                "equal_outputs": "== 1",
            },
            about=f"model.fpq of ResNet-20, weights of {bits} bits a channel",
        )
        for bits in (8, 4, 3, 2)
    ]
    for size in (20, 8):
        rows += [
            Row(
                name=f"decode-resnet{size}-w{bits}",
                run=functools.partial(decode_file, size=size, bits=bits),
                target={"bytes_to_computed": "<= 1.05", "equal_inputs": "== 1"},
                about=f"TensorFlow Lite Micro decodes ResNet-{size}'s weights of {bits} bits",
            )
            for bits in (4, 3, 2)
        ]
    return rows


ROWS = tuple(_rows())
