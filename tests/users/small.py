"""A small network with its data in a file of the user's, and short runs of it."""

import json
import pathlib

import main

HELPER = """
import keras, numpy as np, tensorflow as tf
from nets.abstract_model_helper import AbstractModelHelper

images = np.random.default_rng(0).random((24, 6, 6, 1), dtype=np.float32)
labels = np.arange(24) % 3


class ModelHelper(AbstractModelHelper):
    num_epochs = 1

    def build_dataset_train(self):
        return tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)

    def build_dataset_eval(self):
        return tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)

    def forward(self, inputs):
        x = keras.layers.Conv2D(4, 3, name="conv1")(inputs)
        x = keras.layers.Conv2D(4, 3, name="conv2")(x)
        return keras.layers.Dense(3, name="fc")(keras.layers.Flatten()(x))
"""
QUICK = (
    "--model_helper=net.py --batch_size=8 --batch_size_eval=8 --tflite=none --nb_repts=1 "
    "--nb_repts_warmup=0 --lrn_rate_init=0.01 --out_dir=out"
).split()
BOTH = ["--learner=full-prec,chn-pruned-rmt", "--cpr_nb_smpls=24", "--cpr_nb_crops_per_smpl=4"]


def write_helper(*changes: tuple[str, str], path: str = "net.py") -> None:
    """Write the helper, with some of its text replaced."""
    text = HELPER
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    pathlib.Path(path).write_text(text)


def run(*argv: str) -> int:
    """Call the command line in this process; later arguments win."""
    return main.run([*QUICK, *argv])


def report(folder: str = "out") -> dict:
    """Read the report of a run."""
    return json.loads(pathlib.Path(folder, "report.json").read_text())


def last_line(capfd) -> str:
    """The last line on standard error, which is the only one that begins with `error: `."""
    text = capfd.readouterr().err
    assert "Traceback" not in text
    errors = [line for line in text.splitlines() if line.startswith("error: ")]
    assert errors == text.splitlines()[-1:]
    return errors[0].removeprefix("error: ")
