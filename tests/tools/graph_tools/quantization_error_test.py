"""The command that ranks layers by what quantization costs them."""

import csv

import keras
import numpy as np

from tools.graph_tools.quantization_error import main
from utils.files import save_keras_model


def test_layers_are_ranked_written_and_drawn(tmp_path, capsys):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1), name="images")
    x = keras.layers.Conv2D(8, 3, activation="relu", name="conv")(inputs)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    model = keras.Model(inputs, keras.layers.Dense(10, name="fc")(x), name="net")
    save_keras_model(model, tmp_path / "net.keras")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((20, 8, 8, 1), np.float32))
    files = (f"--csv_file={tmp_path}/e.csv", f"--picture={tmp_path}/e.png")
    data = (f"--model_file={tmp_path}/net.keras", f"--calibration_file={tmp_path}/x.npy")
    assert main([*data, *files]) == 0
    assert "final distance 0.0" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "e.csv").open()))
    assert {row["layer"] for row in rows} == {"conv", "mean", "fc"}
    distances = [float(row["alone_distance"]) for row in rows]
    assert distances == sorted(distances, reverse=True)
    for row in rows:
        expected = -20 * np.log10(float(row["alone_distance"]))
        np.testing.assert_allclose(float(row["alone_sqnr_db"]), expected)
    assert (tmp_path / "e.png").read_bytes().startswith(b"\x89PNG")
    assert main([*data, "--strategy=null"]) == 2
    assert "quantizes nothing" in capsys.readouterr().err


def test_operators_without_an_int8_form_are_named_at_the_start(tmp_path, capsys):
    inputs = keras.Input((8,), name="x")
    x = keras.layers.Activation("softplus", name="plus")(keras.layers.Dense(4, name="fc")(inputs))
    save_keras_model(keras.Model(inputs, x, name="net"), tmp_path / "net.keras")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((20, 8), np.float32))
    data = (f"--model_file={tmp_path}/net.keras", f"--calibration_file={tmp_path}/x.npy")
    assert main([*data]) == 2
    said = capsys.readouterr().err
    assert "1 operators have no int8 form, the first 'plus'" in " ".join(said.split())
    assert main([*data, "--allow_float"]) == 0
    assert "final distance" in capsys.readouterr().out
