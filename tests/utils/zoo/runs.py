"""A finished run without its training: two networks, int8 files in name only, a report."""

import json

import keras
import numpy as np

from utils.files import save_keras_model
from utils.report import File, Report, file_sha256, network_facts


def network(seed=0, zeros=0.0):
    """Make a network, part of whose largest kernel is zero."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 6, 3), name="image")
    x = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    dense = keras.layers.Dense(5, name="head")
    model = keras.Model(inputs, dense(keras.layers.Flatten()(x)), name="net")
    kernel = dense.kernel.numpy()
    kernel.ravel()[: int(zeros * kernel.size)] = 0.0
    dense.kernel.assign(kernel)
    return model


def write_run(folder, seed=0, zeros=0.5, **changes):
    """Write a run's folder; it is given back."""
    folder.mkdir(parents=True)
    sides, files = {}, []
    for name, model in (("before", network(seed)), ("after", network(seed, zeros))):
        path = folder / ("model.keras" if name == "after" else "model_before.keras")
        save_keras_model(model, path)
        weights = [np.asarray(weight) for weight in model.weights]
        sides[name] = network_facts(weights, path=path, top1=0.9 if name == "before" else 0.875)
        exported = folder / f"{path.stem}_int8.tflite"
        exported.write_bytes(name.encode())
        facts = {"path": str(exported), "sha256": file_sha256(exported), "top1": 0.86}
        files.append(File(network=name, kind="int8", **facts))
    report = Report(
        learner=("weight-sparse",),
        model_helper="mine",
        dataset="own",
        seed=0,
        created="2020-07-12T10:00:00+00:00",
        files=tuple(files),
        **{**sides, **changes},
    )
    (folder / "report.json").write_text(json.dumps(report.to_dict()))
    return folder
