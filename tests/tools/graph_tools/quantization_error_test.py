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
