"""The first hour: a network of plain Keras, data, one command, a file that an interpreter runs."""

import csv
import json

import ai_edge_litert.interpreter as litert
import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import main
from tests.utils.legacy_keras import old_files

QUICK = [
    "--budget=flops:0.5", "--cpr_nb_smpls=100", "--cpr_nb_crops_per_smpl=4", "--nb_repts=1",
    "--nb_repts_warmup=0",
]  # fmt: skip
NUM_TEST = 200


@pytest.fixture(scope="module")
def digits():
    """Bytes [n, 8, 8] and labels of training and test part."""
    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8) / 16 * 255).astype(np.uint8)
    return (images[NUM_TEST:], labels[NUM_TEST:]), (images[:NUM_TEST], labels[:NUM_TEST])


@pytest.fixture(scope="module")
def network(digits):
    """Train a network as a user would who has never heard of Flowpress: on -1..1, softmax."""
    (images, labels), _ = digits
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(8, 3, activation="relu", name="conv1"),
            keras.layers.Conv2D(16, 3, activation="relu", name="conv2"),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(10, activation="softmax", name="fc"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(images[..., None] / 127.5 - 1, labels, epochs=5, batch_size=32, verbose=0)
    return model


def run(folder, *argv):
    """Run the command; give its report."""
    assert main.run([*argv, *QUICK, f"--out_dir={folder}"]) == 0
    return json.loads((folder / "report.json").read_text())


def predictions(file, inputs):
    """Run a float or int8 file with an interpreter loop of the test's own."""
    interpreter = litert.Interpreter(model_path=str(file))
    interpreter.allocate_tensors()
    (given,), (wanted,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero = given["quantization"]
    found = []
    for image in inputs:
        if given["dtype"] == np.int8:
            image = np.clip(np.round(image / scale) + zero, -128, 127)
        interpreter.set_tensor(given["index"], image[None].astype(given["dtype"]))
        interpreter.invoke()
        found.append(int(interpreter.get_tensor(wanted["index"])[0].argmax()))
    return np.array(found)


def test_a_folder_of_images(digits, network, tmp_path, capsys):
    for name, (images, labels) in zip(("train", "val"), digits, strict=True):
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            place = tmp_path / "photos" / name / f"digit {label}"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{number}.png")
    network.save(tmp_path / "net.keras")
    report = run(
        tmp_path / "out", f"--model={tmp_path}/net.keras", f"--data={tmp_path}/photos",
        "--nb_epochs=1", "--tflite=int8",
    )  # fmt: skip
    told = capsys.readouterr().err
    assert "1,597 training and 200 test samples of 8 x 8 x 1, values -1..1; before any" in told
    assert report["learner"] == ["chn-pruned-rmt"]
    assert report["after"]["flops"] <= 0.5 * report["before"]["flops"]
    images, labels = digits[1]
    before = network.predict(images[..., None] / 127.5 - 1, verbose=0).argmax(axis=1)
    assert report["before"]["top1"] == pytest.approx((before == labels).mean())
    assert report["after"]["top1"] > report["before"]["top1"] - 0.1
    (file,) = (row for row in report["files"] if row["network"] == "after")
    right = predictions(file["path"], images[..., None] / 127.5 - 1) == labels
    # An input on the edge between two integers may be rounded either way.
    assert file["top1"] == pytest.approx(right.mean(), abs=1.5 / NUM_TEST)
    assert right.mean() > 0.8
    assert keras.saving.load_model(tmp_path / "out" / "model.keras").count_params() > 0


def old_h5(network, path):
    """Write the network as tf.keras 2 did."""
    convolution = {"kernel_size": [3, 3], "activation": "relu"}
    config = old_files.functional(
        old_files.image_input(8, 8, 1),
        old_files.layer("Conv2D", "conv1", "input_1", filters=8, **convolution),
        old_files.layer("Conv2D", "conv2", "conv1", filters=16, **convolution),
        old_files.layer("Flatten", "flatten", "conv2"),
        old_files.layer("Dense", "fc", "flatten", units=10, activation="softmax"),
        outputs=["fc"],
    )
    weights = {
        layer.name: [(f"{layer.name}/{v.name}:0", np.array(v)) for v in layer.weights]
        for layer in network.layers
    }
    return old_files.write(path, config, weights, version="2.15.0", optimizer=True)


def test_an_old_h5_on_a_npz(digits, network, tmp_path):
    (x_train, y_train), (x_test, y_test) = digits
    np.savez(tmp_path / "d.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    h5 = old_h5(network, tmp_path / "net.h5")
    report = run(
        tmp_path / "out", f"--model={h5}", f"--data={tmp_path}/d.npz", "--nb_epochs=0",
        "--tflite=none",
    )  # fmt: skip
    inputs = x_test[..., None] / 127.5 - 1
    for name, model in (
        ("before", network), ("after", keras.saving.load_model(tmp_path / "out" / "model.keras"))
    ):  # fmt: skip
        right = model.predict(inputs, verbose=0).argmax(axis=1) == y_test
        assert report[name]["top1"] == pytest.approx(right.mean())


def test_a_table_with_a_dense_network(digits, tmp_path):
    names = [f"digit {n}" for n in range(10)]
    for name, (images, labels) in zip(("train", "test"), digits, strict=True):
        with (tmp_path / f"{name}.csv").open("w", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow([f"pixel {n}" for n in range(64)] + ["class"])
            for image, label in zip(images, labels, strict=True):
                rows.writerow([*(image.reshape(-1) / 255).tolist(), names[label]])
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(24, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(digits[0][0].reshape(-1, 64) / 255, digits[0][1], epochs=8, verbose=0)
    model.save(tmp_path / "dense.keras")
    report = run(
        tmp_path / "out", f"--model={tmp_path}/dense.keras", f"--data={tmp_path}", "--nb_epochs=0",
        "--tflite=float32",
    )  # fmt: skip
    inputs, labels = digits[1][0].reshape(-1, 64) / 255, digits[1][1]
    right = model.predict(inputs, verbose=0).argmax(axis=1) == labels
    assert report["before"]["top1"] == pytest.approx(right.mean())
    assert report["after"]["params"] < 0.6 * report["before"]["params"]
    (file,) = (row for row in report["files"] if row["network"] == "after")
    assert file["top1"] == pytest.approx((predictions(file["path"], inputs) == labels).mean())
