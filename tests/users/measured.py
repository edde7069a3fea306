"""A small trained network on digits, short runs that measure it, references of their own."""

import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from sklearn.datasets import load_digits

from flowpress import compress
from utils.report import Report


@functools.cache
def digits() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """((images, labels) to train on, (images, labels) held out); images [n, 8, 8, 1] in [0, 1]."""
    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(labels))
    images, labels = images[order], labels[order].astype(np.int32)
    return (images[:600], labels[:600]), (images[600:800], labels[600:800])


def batches(part: int, size: int = 50) -> tf.data.Dataset:
    """The training (0) or held-out (1) part in batches, always in the same order."""
    return tf.data.Dataset.from_tensor_slices(digits()[part]).batch(size)


def network(width: int = 8) -> keras.Model:
    """Two convolutions and a dense layer, with fresh weights."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(width, 3, activation="relu", name="first")(inputs)
    x = keras.layers.Conv2D(width, 3, activation="relu", name="second")(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(10, name="head")(x))


@functools.cache
def trained(epochs: int = 4) -> keras.Model:
    """The network after some epochs of Adam; tests do not change it."""
    model = network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    model.fit(batches(0), epochs=epochs, verbose=0)
    return model


PRUNING = {"learner": "chn-pruned-rmt", "prune_ratio": 0.5, "nb_smpls": 32, "nb_crops_per_smpl": 2}
QUICK = {
    "learner": "full-prec",
    "nb_epochs": 0,
    "tflite": "none",
    "nb_repts": 10,
    "nb_repts_warmup": 1,
    "nb_smpls_calib": 100,
    "tflite_max_gap": 1,
    "tflite_min_agreement": 0,
}


def short(model: keras.Model, out_dir: Any, **options: Any) -> Report:
    """Compress a network of digits; later options win."""
    return compress(model, batches(0), batches(1), out_dir=out_dir, **{**QUICK, **options})


def interpreted(path: Any, inputs: np.ndarray) -> np.ndarray:
    """Run a file sample by sample, in integers where it wants them; no code of ours."""
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    (given,), (taken,) = interpreter.get_input_details(), interpreter.get_output_details()
    outputs = []
    for sample in inputs:
        values = sample[None]
        if given["dtype"] == np.int8:
            scale, zero = given["quantization"]
            values = np.clip(np.round(values / scale) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(given["index"], values)
        interpreter.invoke()
        values = interpreter.get_tensor(taken["index"])[0]
        if taken["dtype"] == np.int8:
            scale, zero = taken["quantization"]
            values = (values.astype(np.float32) - zero) * scale
        outputs.append(values)
    return np.array(outputs)


def right(outputs: np.ndarray) -> np.ndarray:
    """On which held-out samples the largest output is the label."""
    return outputs.argmax(-1) == digits()[1][1]
