"""A folder of TFRecord files with an encoded image and a label in each record.

The features may be named `image` and `label` (as TensorFlow Datasets does), `image/encoded` and
`image/class/label` (as TF-Slim does) or `x` and `y`; `image` may also be a list of floats. Files
are scanned for where each record lies, so that any record can be fetched by its number.

Reference: https://www.tensorflow.org/tutorials/load_data/tfrecord (the framing of a record).
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datasets.user_data.image_folder import decode
from datasets.user_data.parts import Part, UserData, with_test_part
from utils.causes import essence
from utils.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

MAX_RECORD_BYTES = 256 << 20
"""Longest record that is read."""

_INPUTS = ("image", "image/encoded", "image_raw", "x", "features")
_LABELS = ("label", "image/class/label", "image/label", "y", "class")
_HEAD, _TAIL = 12, 4  # length and its checksum before a record, its own checksum behind it
_TEST_WORDS = ("test", "val")


@dataclasses.dataclass(frozen=True)
class Records:
    """Inputs that are records of files.

    Attributes:
        files: the files.
        places: int64 [n, 3]: number of the file, first byte of the record, its length.
        feature: with the input.
        shape: None for images that are decoded, else that of the list of floats.
    """

    files: tuple[str, ...]
    places: np.ndarray
    feature: str
    shape: tuple[int, ...] | None
    at_once: bool = False

    @property
    def white(self) -> float | None:
        """255 where images are decoded."""
        return 255.0 if self.shape is None else None

    def __len__(self) -> int:
        return len(self.places)

    def select(self, rows: np.ndarray) -> Records:
        """Take some of them."""
        return dataclasses.replace(self, places=self.places[rows])

    def fetch(self, shape: tuple[int, ...]) -> Callable[[tf.Tensor], tf.Tensor]:
        """Read, parse and decode one record."""
        import tensorflow as tf

        def read(row: tf.Tensor) -> tf.Tensor:
            data = tf.numpy_function(self._bytes, [row], tf.string)
            return self._input(tf.reshape(data, []), shape)

        return read

    def _bytes(self, row: np.ndarray) -> bytes:
        file, start, length = self.places[int(row)]
        with open(self.files[file], "rb") as stream:
            stream.seek(start)
            return stream.read(length)

    def _input(self, data: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
        import tensorflow as tf

        if self.shape is None:
            spec: Any = tf.io.FixedLenFeature([], tf.string)
        else:
            spec = tf.io.FixedLenFeature(self.shape, tf.float32)
        found = tf.io.parse_single_example(data, {self.feature: spec})[self.feature]
        return decode(found, shape) if self.shape is None else tf.reshape(found, shape)

    def check(self, shape: tuple[int, ...]) -> None:
        """Parse and decode every record."""
        import tensorflow as tf

        for row in range(len(self)):
            try:
                with tf.device("CPU:0"):
                    self._input(tf.constant(self._bytes(np.asarray(row))), shape)
            except tf.errors.OpError as error:
                file, start, _ = self.places[row]
                raise InputError(
                    f"{self.files[file]}: the record at byte {start - _HEAD:,} cannot be read: "
                    f"{essence(error)} Write the file anew."
                ) from error


def is_record_folder(path: Path) -> bool:
    """Tell whether a folder holds TFRecord files, by their names."""
    return any(_record_files(path))


def read_records(path: Path) -> UserData:
    """Read where the records of a folder, or of one file, lie, and their labels.

    Args:
        path: the folder or file. Files with `test` or `val` in their names are the test part.

    Raises:
        InputError: for a truncated or damaged file, records without an input or a label.
    """
    files = _record_files(path) if path.is_dir() else [path]
    tests = [file for file in files if any(word in file.name.lower() for word in _TEST_WORDS)]
    trains = [file for file in files if file not in tests]
    if not trains:
        raise InputError(
            f"{path}: every TFRecord file has 'test' or 'val' in its name: "
            f"{', '.join(file.name for file in tests[:5])}. None is left to train on."
        )
    train = _part(trains)
    if not tests:
        return with_test_part(str(path), train)
    return UserData(name=str(path), train=train, test=_part(tests))


def _record_files(path: Path) -> list[Path]:
    return sorted(file for file in path.glob("*tfrecord*") if file.is_file())


def _part(files: list[Path]) -> Part:
    places = [(n, *place) for n, file in enumerate(files) for place in _scan(file)]
    if not places:
        raise InputError(f"{files[0]}: has no records. Write the file anew.")
    texts = tuple(str(file) for file in files)
    feature, label, shape = _features(texts[0], places[0])
    records = Records(texts, np.array(places, np.int64), feature, shape)
    return Part(inputs=records, labels=_labels(records, label))


def _scan(path: Path) -> Iterator[tuple[int, int]]:
    """Give first byte and length of each record; only the lengths are read."""
    size, at = path.stat().st_size, 0
    with path.open("rb") as stream:
        while at < size:
            stream.seek(at)
            head = stream.read(_HEAD)
            length = struct.unpack_from("<Q", head)[0] if len(head) == _HEAD else MAX_RECORD_BYTES
            if length > MAX_RECORD_BYTES or at + _HEAD + length + _TAIL > size:
                raise InputError(
                    f"{path}: is no TFRecord file, or truncated or damaged: the record at byte "
                    f"{at:,} does not end in the file. Write it anew (without compression)."
                )
            yield at + _HEAD, length
            at += _HEAD + length + _TAIL


def _features(file: str, place: tuple[int, int, int]) -> tuple[str, str, tuple[int, ...] | None]:
    """Find the names of input and label, and the input's shape where it is a list, in a record."""
    import tensorflow as tf

    with open(file, "rb") as stream:
        stream.seek(place[1])
        data = stream.read(place[2])
    try:
        features = tf.train.Example.FromString(data).features.feature
    except Exception as error:  # protobuf's own, of which only the message is known
        raise InputError(
            f"{file}: the first record is no tf.train.Example. Write the file anew."
        ) from error
    one = next((name for name in _INPUTS if name in features), None)
    label = next((n for n in _LABELS if n in features and features[n].int64_list.value), None)
    if one is None or label is None:
        found = ", ".join(sorted(features)[:10]) or "none"
        raise InputError(
            f"{file}: expected a feature {' or '.join(_INPUTS[:2])} and an integer "
            f"{' or '.join(_LABELS[:2])} in each record. Found: {found}. Give my_data.py for other "
            "records, see docs/your_data.md."
        )
    floats = features[one].float_list.value
    return one, label, (len(floats),) if floats else None


def _labels(records: Records, label: str) -> np.ndarray:
    import tensorflow as tf

    spec = {label: tf.io.FixedLenFeature([], tf.int64)}
    found = np.empty(len(records), np.int64)
    for row in range(len(records)):
        try:
            with tf.device("CPU:0"):
                data = tf.constant(records._bytes(np.asarray(row)))
                found[row] = tf.io.parse_single_example(data, spec)[label]
        except tf.errors.OpError as error:
            file, start, _ = records.places[row]
            raise InputError(
                f"{records.files[file]}: the record at byte {start - _HEAD:,} has no label "
                f"{label!r} or is damaged. Write the file anew."
            ) from error
    return found
