"""Tiny data, networks and helper files as users have them."""

import contextlib
import json
import pathlib

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import flowpress
import main

RANDOM = np.random.default_rng(0)
# Bright images of class 1, in 0..255, of channels of very different ranges.
LABELS = (np.arange(64) % 2).astype(np.int32)
IMAGES = RANDOM.normal(100.0, 40.0, size=(64, 8, 8, 2)) * [1.0, 0.01] + [0.0, 50.0]
IMAGES = (IMAGES + 25.0 * LABELS[:, None, None, None] * [1.0, 0.0]).astype(np.float32)

QUICK = {
    "nb_repts": 1, "nb_repts_warmup": 0, "tflite": "none", "nb_epochs": 1, "lrn_rate_ft": 0.001,
    "loss_w_dcy": 0.0,
}  # fmt: skip
PRUNING = {"cpr_nb_smpls": 32, "cpr_nb_crops_per_smpl": 2}

HELPER = """
import keras
import numpy as np
import tensorflow as tf
from keras import layers

from nets.abstract_model_helper import AbstractModelHelper

DATA = np.load({data!r})


class ModelHelper(AbstractModelHelper):
    def build_dataset_train(self):
        return tf.data.Dataset.from_tensor_slices((DATA["images"], DATA["labels"])).batch(16)

    def build_dataset_eval(self):
        return tf.data.Dataset.from_tensor_slices((DATA["images"], DATA["labels"])).batch(16)

    def forward(self, inputs):
{forward}
"""


def batches():
    return tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(16)


def body(x, middle=lambda x: x):
    """Three convolutions with something between the second and the third, and a head."""
    x = layers.Conv2D(8, 3, activation="relu", name="first")(x)
    x = layers.Conv2D(8, 3, activation="relu", name="second")(x)
    x = layers.Conv2D(6, 1, activation="relu", name="third")(middle(x))
    return layers.Dense(2, name="head")(layers.GlobalAveragePooling2D()(x))


def network(middle=lambda x: x, front=None, name="net"):
    """A network that was trained a little, compiled."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 2))
    x = inputs / 100.0 if front is None else front(inputs)
    model = keras.Model(inputs, body(x, middle), name=name)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def accuracy(model):
    """What plain Keras says."""
    return model.evaluate(IMAGES, LABELS, verbose=0, batch_size=16, return_dict=True)["accuracy"]


def compress(model, learner="chn-pruned-rmt", **options):
    quick = QUICK | PRUNING if learner == "chn-pruned-rmt" else QUICK
    return flowpress.compress(model, batches(), batches(), learner=learner, **quick | options)


def helper_file(path, forward):
    """Write a helper file whose `forward` has these lines."""
    data = path.with_suffix(".npz")
    np.savez(data, images=IMAGES, labels=LABELS)
    lines = "\n".join(f"        {line}" for line in forward.strip().splitlines())
    path.write_text(HELPER.format(data=str(data), forward=lines), encoding="utf-8")
    return path


def run(*arguments, **options):
    """Run the command; give the report where it wrote one into `out`."""
    options = {name: value for name, value in (QUICK | options).items() if value is not None}
    status = main.run([*arguments, *(f"--{name}={value}" for name, value in options.items())])
    with contextlib.suppress(FileNotFoundError):
        return status, json.loads(pathlib.Path("out/report.json").read_text(encoding="utf-8"))
    return status, None


def pruning(helper, **options):
    """Run the pruning learner on a helper file's network."""
    names = {"learner": "chn-pruned-rmt", "model_helper": str(helper), "out_dir": "out"}
    return run(**names | PRUNING | options)
