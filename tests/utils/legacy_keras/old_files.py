"""Files as Keras 2 left them, written with h5py alone."""

import json

import h5py
import numpy as np


def write(path, config, weights, *, version="2.2.4", backend="tensorflow", optimizer=False):
    """Write an `.h5` file.

    Args:
        path: the file.
        config: the network's description; None for a file of weights alone.
        weights: (name, array) pairs by layer.
        version: of Keras.
        backend: of Keras.
        optimizer: also write the state of one, as `model.save` does.

    Returns:
        The path.
    """
    with h5py.File(path, "w") as file:
        group = file
        if config is not None:
            file.attrs["model_config"] = json.dumps(config).encode()
            group = file.create_group("model_weights")
        for place in {file, group}:
            place.attrs["keras_version"] = version.encode()
            place.attrs["backend"] = backend.encode()
        group.attrs["layer_names"] = np.array([name.encode() for name in weights])
        for layer, arrays in weights.items():
            place = group.create_group(layer)
            place.attrs["weight_names"] = np.array([name.encode() for name, _ in arrays])
            for name, array in arrays:
                place.create_dataset(name, data=array)
        if optimizer:
            file.create_group("optimizer_weights").create_dataset("iterations:0", data=np.int64(3))
    return path


def layer(class_name, name, *inbound, **config):
    """Describe a layer of a functional model; `inbound` are names of the layers it reads."""
    entry = {"class_name": class_name, "name": name, "config": {"name": name, **config}}
    nodes = [[[source, 0, 0, {}] for source in inbound]] if inbound else []
    return {**entry, "inbound_nodes": nodes}


def functional(*layers, outputs, inputs=("input_1",), class_name="Functional"):
    """Describe a functional model."""
    return {
        "class_name": class_name,
        "config": {
            "name": "old_net",
            "layers": list(layers),
            "input_layers": [[name, 0, 0] for name in inputs],
            "output_layers": [[name, 0, 0] for name in outputs],
        },
    }


def image_input(*shape, name="input_1"):
    """Describe an input."""
    return layer(
        "InputLayer", name, batch_input_shape=[None, *shape], dtype="float32", sparse=False
    )


def sequential_of_2_1(*layers, shape):
    """Describe a Sequential as Keras 2.1 did: a list without a name."""
    entries = [{"class_name": name, "config": dict(config)} for name, config in layers]
    first = {"batch_input_shape": [None, *shape], "dtype": "float32"}
    entries[0]["config"] = first | entries[0]["config"]
    return {"class_name": "Sequential", "config": entries}


def initializer_of_1_13():
    """Describe an initializer as TensorFlow 1.13 did: with a `dtype`."""
    return {"class_name": "GlorotUniform", "config": {"seed": None, "dtype": "float32"}}
