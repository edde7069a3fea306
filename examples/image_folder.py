"""A folder of pictures, a network of plain Keras, one command: a small file that names clothes.

    python examples/image_folder.py --fashion_mnist=FOLDER

FOLDER holds the four files of Fashion-MNIST (`train-images-idx3-ubyte.gz` …). The pictures are
written as PNG, a sub-folder for each class, as one's own photos would lie; a small network is
trained as anyone would with Keras; Flowpress halves its work; and the int8 file that comes out is
run with nothing but an interpreter.
"""

from __future__ import annotations

import argparse
import gzip
import pathlib
import subprocess
import sys

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[1]
NAMES = (
    *("t-shirt", "trousers", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "boot"),
)


def flowpress(*flags: str) -> None:
    """Run the command as in a shell."""
    subprocess.run([sys.executable, str(ROOT / "main.py"), *flags], check=True)


def read(folder: pathlib.Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Read a part of Fashion-MNIST: bytes [n, 28, 28] and labels [n]."""
    with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return images, labels


def write(folder: pathlib.Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write pictures as PNG files, a sub-folder for each class."""
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / NAMES[label] / f"{number:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


def train(images: np.ndarray, labels: np.ndarray, epochs: int) -> keras.Model:
    """Train a small network; it scales the pixels itself.

    Classes are numbered as a folder's are: by their names, in alphabetical order.
    """
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(16, 3, strides=2, activation="relu", name="conv1"),
            keras.layers.Conv2D(32, 3, strides=2, activation="relu", name="conv2"),
            keras.layers.Conv2D(32, 3, activation="relu", name="conv3"),
            keras.layers.GlobalAveragePooling2D(name="mean"),
            keras.layers.Dense(len(NAMES), activation="softmax", name="fc"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    order = np.argsort(np.argsort(NAMES))
    model.fit(images[..., None], order[labels], batch_size=64, epochs=epochs, verbose=2)
    return model


def classes_of(file: pathlib.Path, pictures: list[pathlib.Path]) -> list[str]:
    """Let an int8 file name pictures, with an interpreter alone."""
    interpreter = Interpreter(str(file))
    interpreter.allocate_tensors()
    (given,), (wanted,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = given["quantization"]
    named = []
    for picture in pictures:
        pixels = np.asarray(Image.open(picture), np.float32).reshape(given["shape"])
        integers = np.clip(np.round(pixels / scale) + zero_point, -128, 127).astype(given["dtype"])
        interpreter.set_tensor(given["index"], integers)
        interpreter.invoke()
        named.append(sorted(NAMES)[int(interpreter.get_tensor(wanted["index"]).argmax())])
    return named


def main(argv: list[str]) -> float:
    """Go the whole way; give the share of test pictures that the file names rightly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fashion_mnist", type=pathlib.Path, required=True)
    parser.add_argument("--out_dir", type=pathlib.Path, default=pathlib.Path("runs/clothes"))
    parser.add_argument("--pictures", type=int, default=10_000, help="for training")
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args(argv)
    folder = options.out_dir
    images, labels = (each[: options.pictures] for each in read(options.fashion_mnist, "train"))
    others = [each[: options.pictures // 5] for each in read(options.fashion_mnist, "t10k")]
    write(folder / "photos" / "train", images, labels)
    write(folder / "photos" / "test", *others)
    train(images, labels, options.epochs).save(folder / "net.keras")
    flowpress(
        f"--model={folder / 'net.keras'}",
        f"--data={folder / 'photos'}",
        "--budget=flops:0.5",
        f"--nb_epochs={options.epochs // 2}",
        f"--out_dir={folder}",
    )
    pictures = sorted((folder / "photos" / "test").rglob("*.png"))
    named = classes_of(folder / "model_int8.tflite", pictures)
    right = np.mean([name == path.parent.name for name, path in zip(named, pictures, strict=True)])
    print(f"model_int8.tflite names {right:.1%} of {len(pictures):,} pictures rightly.")  # noqa: T201
    return float(right)


if __name__ == "__main__":
    main(sys.argv[1:])
