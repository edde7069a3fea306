"""A folder of images, as a rule with a sub-folder for each class, as `keras.utils` reads it.

    DATA/cat/1.png, DATA/dog/2.png, …              the classes, sorted by name, are 0, 1, …
    DATA/train/cat/1.png, DATA/val/cat/7.png, …    with a part that tests
    DATA/1.png, DATA/2.png, …                      no labels: the network's answers stand for them

Images are decoded and resized (bilinear, as Keras does) when their turn comes; only their names are
in memory.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from datasets.user_data.image_header import ENDINGS, check_image
from datasets.user_data.parts import Part, UserData, with_test_part
from utils.causes import essence
from utils.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

_TRAIN = ("train", "training")
_VAL = ("val", "valid", "validation")
_TEST = ("test", "testing")
# Each image is decoded once before anything is done, but of more than these only so many: the
# others' first bytes have been looked at.
_NUM_DECODED = 50_000
_FEWEST_PLAIN = 20
_PLAIN_ENDS = (
    0.5,
    0.8,
)  # of the images without labels: the first half trains, the last fifth tests


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """Inputs that are image files.

    Attributes:
        paths: of the files, texts [n].
    """

    paths: np.ndarray
    shape: None = None
    white: float | None = 255.0
    at_once: bool = False

    def __len__(self) -> int:
        return len(self.paths)

    def select(self, rows: np.ndarray) -> ImageFiles:
        """Take some of them."""
        return dataclasses.replace(self, paths=self.paths[rows])

    def fetch(self, shape: tuple[int, ...]) -> Callable[[tf.Tensor], tf.Tensor]:
        """Read, decode and resize one image."""
        import tensorflow as tf

        with tf.device("CPU:0"):
            paths = tf.constant(self.paths.tolist())

        def read(row: tf.Tensor) -> tf.Tensor:
            return decode(tf.io.read_file(paths[row]), shape)

        return read

    def check(self, shape: tuple[int, ...]) -> None:
        """Decode every image, on all cores."""
        import tensorflow as tf

        def failure(path: str) -> str:
            try:
                with tf.device("CPU:0"):
                    decode(tf.io.read_file(path), shape)
            except tf.errors.OpError as error:
                return f"{path}: cannot be decoded: {essence(error)} Mend or remove the file."
            return ""

        order = np.random.default_rng(0).permutation(len(self.paths))[:_NUM_DECODED]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for found in pool.map(failure, self.paths[np.sort(order)].tolist(), chunksize=16):
                if found:
                    raise InputError(found)


def decode(data: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """Decode an image and resize it.

    Args:
        data: the bytes of a PNG, JPEG, GIF (its first picture) or BMP, a scalar.
        shape: (height, width, channels), of 1, 3 or 4 channels.

    Returns:
        float32 of that shape, in [0, 255].
    """
    import tensorflow as tf

    height, width, channels = shape
    image = tf.io.decode_image(data, channels=channels, expand_animations=False)
    image.set_shape([None, None, channels])
    return tf.reshape(tf.image.resize(tf.cast(image, tf.float32), [height, width]), shape)


def read_image_folder(path: Path) -> UserData:
    """Read the names of the images of a folder and look at their first bytes.

    Args:
        path: the folder.

    Returns:
        The data. `test/` tests where it exists, else `val/`, else a fifth of each class; where
        both exist, `val/` is what is held out of training.

    Raises:
        InputError: for fewer than two classes, a class without images, classes that differ between
            the parts, or a file that is no image; names it.
    """
    folders = _folders(path)
    train, val, test = (
        next((folders[name] for name in names if name in folders), None)
        for names in (_TRAIN, _VAL, _TEST)
    )
    if train is None:
        if val is not None or test is not None:
            raise InputError(f"{path}: has {(val or test).name}/ but no train/.")  # type: ignore[union-attr]
        classes = _classes(path)
        return with_test_part(str(path), _part(path, classes), classes)
    classes = _classes(train)
    training = _part(train, classes)
    held_out = [_part(part, classes) for part in (val, test) if part is not None]
    if not held_out:
        return with_test_part(str(path), training, classes)
    return UserData(
        name=str(path),
        train=training,
        test=held_out[-1],
        val=held_out[0] if len(held_out) > 1 else None,
        classes=classes,
    )


def is_plain_folder(path: Path) -> bool:
    """Tell whether a folder holds images and no sub-folders: no labels."""
    if not path.is_dir() or _folders(path):
        return False
    return any(_is_image(file) for file in path.iterdir())


def read_plain_folder(path: Path) -> UserData:
    """Read the names of images without labels and look at their first bytes.

    Args:
        path: the folder.

    Returns:
        The data, `unlabelled`: half of the images train, or are what statistics are taken from,
        30 % are held out for choices, 20 % test; the same at every run.

    Raises:
        InputError: for too few images, or a file that is no image; names it.
    """
    files = sorted(file for file in path.iterdir() if _is_image(file))
    if len(files) < _FEWEST_PLAIN:
        raise InputError(
            f"{path}: {len(files)} images without labels are too few; some hundred serve well. "
            f"Give {_FEWEST_PLAIN} or more."
        )
    for file in files:
        check_image(file)
    paths = np.array([str(file) for file in files])
    order = np.random.default_rng(0).permutation(len(paths))
    ends = [round(share * len(paths)) for share in _PLAIN_ENDS]
    train, val, test = (
        Part(inputs=ImageFiles(paths[np.sort(rows)]), labels=np.zeros(len(rows), np.int64))
        for rows in np.split(order, ends)
    )
    note = (
        f"{path} has no sub-folders for classes, so its images have no labels: the network's own "
        f"answers stand for them, and accuracy is agreement with it. {len(train):,} images serve "
        f"for statistics, {len(val):,} are held out for choices, {len(test):,} test."
    )
    return UserData(name=str(path), train=train, test=test, val=val, unlabelled=True, notes=(note,))


def _is_image(file: Path) -> bool:
    return file.is_file() and file.suffix.lower() in ENDINGS and file.name[0] != "."


def _folders(path: Path) -> dict[str, Path]:
    return {entry.name: entry for entry in sorted(path.iterdir()) if _is_shown(entry)}


def _is_shown(entry: Path) -> bool:
    return entry.is_dir() and not entry.name.startswith((".", "__"))


def _classes(path: Path) -> tuple[str, ...]:
    classes = tuple(_folders(path))
    if len(classes) < 2:
        found = f"only {classes[0]!r}" if classes else "none"
        raise InputError(
            f"{path}: expected a sub-folder of images for each class, two or more. Found: {found}. "
            "Put the images into DATA/<class>/, or give another form of data, see "
            "docs/your_data.md."
        )
    return classes


def _part(path: Path, classes: tuple[str, ...]) -> Part:
    """Read the images of one part, class by class."""
    own = tuple(_folders(path))
    if own != classes:
        lacking, extra = sorted({*classes} - {*own}), sorted({*own} - {*classes})
        words = [f"lacks {', '.join(lacking[:5])}"] if lacking else []
        words += [f"has {', '.join(extra[:5])} besides"] if extra else []
        raise InputError(
            f"{path}: its classes differ from those of the training part: it "
            f"{' and '.join(words)}. Give both the same sub-folders."
        )
    paths, labels = [], []
    for label, name in enumerate(classes):
        images = _images(path / name)
        paths += images
        labels += [label] * len(images)
    return Part(inputs=ImageFiles(np.array(paths)), labels=np.array(labels, np.int64))


def _images(folder: Path) -> list[str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    images = [file for file in files if _is_image(file)]
    if not images:
        others = sorted({file.suffix for file in files})
        found = f"Found: {', '.join(others[:5])}" if others else "It is empty"
        raise InputError(
            f"{folder}: the class {folder.name!r} has no image ({', '.join(ENDINGS)}). {found}."
        )
    for image in images:
        check_image(image)
    return [str(image) for image in images]
