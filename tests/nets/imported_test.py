"""The helper of a graph in two files."""

import keras
import numpy as np
import pytest

from nets.config import ImportedConfig
from nets.imported import ModelHelper
from utils.errors import InputError
from utils.graph import disk, from_keras


@pytest.fixture
def files(tmp_path):
    inputs = keras.Input((8, 8, 1))
    outputs = keras.layers.Dense(10, name="fc")(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, outputs)
    disk.save_files(from_keras(model), tmp_path / "a_graph.json", tmp_path / "a_params.npz")
    return model, {"graph": f"{tmp_path}/a_graph.json", "params": f"{tmp_path}/a_params.npz"}


def test_a_graph_on_a_data_set(files):
    model, given = files
    config = ImportedConfig(**given, data_source="digits", scale="0..1")
    helper = ModelHelper(config, seed=0)
    helper.check_files()
    built = helper.build_model()
    np.testing.assert_array_equal(built.get_layer("fc").kernel, model.get_layer("fc").kernel)
    assert helper.model_name == "a_graph" and helper.dataset_name == "digits"
    assert config.weights_file == given["params"]
    images, labels = next(iter(helper.build_dataset_eval()))
    loss, _ = helper.calc_loss(labels, built(images), built.trainable_variables)
    assert np.isfinite(float(loss))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"graph": None}, "--model_helper=imported needs --graph"),
        ({"params": None}, "--model_helper=imported needs --params"),
        ({"data_source": None}, "--model_helper=imported needs --data"),
        ({"params": "gone.npz"}, "`params`: there is no file 'gone.npz'"),
    ],
)
def test_what_is_missing(files, change, words):
    config = ImportedConfig(**{**files[1], "data_source": "digits", **change})
    with pytest.raises(InputError, match=words):
        ModelHelper(config, seed=0).check_files()
