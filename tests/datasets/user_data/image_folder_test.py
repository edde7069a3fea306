"""Folders of images: classes, parts, pixels as Keras reads them."""

import keras
import numpy as np
import pytest
from PIL import Image

from datasets.user_data.batches import Feed
from datasets.user_data.image_folder import (
    is_plain_folder,
    read_image_folder,
    read_plain_folder,
)
from utils.errors import InputError


def write(folder, number, *, size=(6, 5), kind="png"):
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / f"{number}.{kind}")


@pytest.fixture
def photos(tmp_path):
    """Three classes; images of several sizes and kinds, one deeper in a folder."""
    for number in range(10):
        write(
            tmp_path / "b dog", number, size=(6 + number, 5), kind=["png", "jpg", "bmp"][number % 3]
        )
        write(tmp_path / "a cat", 20 + number)
    for number in range(5):
        write(tmp_path / "c cow" / "deep", 40 + number)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a cat" / "notes.txt").write_text("no image")
    return tmp_path


def feed(shape):
    return Feed(shape=shape, scaled=lambda x: x, num_threads=2, prefetch=1)


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_and_classes_are_those_of_keras(photos, channels):
    for path in photos.rglob("*.bmp") if channels == 1 else ():  # which TensorFlow reads in color
        path.unlink()
    data = read_image_folder(photos)
    assert data.classes == ("a cat", "b dog", "c cow")
    theirs = keras.utils.image_dataset_from_directory(
        photos, image_size=(8, 8), color_mode={1: "grayscale", 3: "rgb"}[channels], batch_size=None,
        shuffle=False, verbose=False,
    )  # fmt: skip
    wanted = {image.numpy().tobytes(): int(label) for image, label in theirs}
    found = {}
    for part in (data.train, data.test):
        for images, labels in feed((8, 8, channels)).ordered(part, 4):
            found |= {i.tobytes(): int(n) for i, n in zip(images.numpy(), labels, strict=True)}
    assert found == wanted
    assert len(found) == {1: 22, 3: 25}[channels]


def test_parts_by_their_folders(photos, tmp_path_factory):
    whole = tmp_path_factory.mktemp("parts")
    for part in ("train", "val", "test"):
        for name in ("a", "b"):
            write(whole / part / name, len(part))
    data = read_image_folder(whole)
    assert [p.inputs.paths[0].split("/")[-3] for p in (data.train, data.val, data.test)] == [
        "train", "val", "test",
    ]  # fmt: skip
    assert data.notes == ()


def test_check_names_the_file(photos):
    path = photos / "b dog" / "0.png"
    path.write_bytes(path.read_bytes()[:-30])
    data = read_image_folder(photos)
    parts = [part for part in (data.train, data.test) if str(path) in part.inputs.paths]
    with pytest.raises(InputError, match=r"b dog/0.png: cannot be decoded"):
        parts[0].inputs.check((8, 8, 3))


def test_images_without_labels(tmp_path):
    for number in range(20):
        write(tmp_path, number, kind=["png", "jpg"][number % 2])
    (tmp_path / "notes.txt").write_text("no image")
    assert is_plain_folder(tmp_path)
    data = read_plain_folder(tmp_path)
    assert data.unlabelled
    assert [len(part) for part in (data.train, data.val, data.test)] == [10, 6, 4]
    parts = [set(part.inputs.paths) for part in (data.train, data.val, data.test)]
    assert len(set.union(*parts)) == 20
    assert "have no labels" in data.notes[0]


def test_a_folder_with_sub_folders_is_not_without_labels(photos, tmp_path_factory):
    write(photos, 99)
    assert not is_plain_folder(photos)
    empty = tmp_path_factory.mktemp("empty")
    assert not is_plain_folder(empty)
    write(empty, 1)
    with pytest.raises(InputError, match="1 images without labels are too few"):
        read_plain_folder(empty)
