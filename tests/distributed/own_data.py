"""A program of the user's: `compress` with arrays that do not divide evenly among the workers.

`PYTHONPATH=. python tests/distributed/own_data.py FILE`: every worker adds a line to FILE.<rank>.
"""

import json
import pathlib
import sys

import keras
import numpy as np

from flowpress import compress
from utils.horovod_calls import launched_rank


def main(file):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(8, 3, name="one")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Conv2D(8, 3, activation="relu", name="two")(x)
    outputs = keras.layers.Dense(3, name="three")(keras.layers.Flatten()(x))
    model = keras.Model(inputs, outputs)
    random = np.random.default_rng(0)
    images, labels = random.normal(size=(101, 8, 8, 1)), random.integers(0, 3, 101)
    report = compress(
        model,
        (images, labels),
        (images[:50], labels[:50]),
        prune_ratio=0.5,
        nb_smpls=64,
        batch_size=16,
        batch_size_eval=10,
        nb_epochs=2,
        tflite="none",
    )
    facts = {
        "top1": report.after.top1,
        "losses": [point.loss for point in report.training],
        "steps": report.training[-1].step,
        "weights": [float(np.sum(np.abs(array))) for array in report.model.get_weights()],
    }
    pathlib.Path(f"{file}.{launched_rank()}").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(sys.argv[1])
