"""Folders of TFRecord files."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from datasets.user_data.batches import Feed
from datasets.user_data.record_files import is_record_folder, read_records
from utils.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 4, 4), dtype=np.uint8)
FEED = Feed(shape=(4, 4, 1), scaled=lambda x: x, num_threads=2, prefetch=1)


def encoded(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[stream.getvalue()]))


def floats(pixels):
    return tf.train.Feature(float_list=tf.train.FloatList(value=pixels.reshape(-1).tolist()))


def write(path, rows, names=("image", "label"), make=encoded):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in rows:
            label = tf.train.Feature(int64_list=tf.train.Int64List(value=[row % 3]))
            features = dict(zip(names, (make(PIXELS[row]), label), strict=True))
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())


@pytest.mark.parametrize(
    ("names", "make"),
    [(("image", "label"), encoded), (("image/encoded", "image/class/label"), encoded),
     (("x", "y"), floats)],
)  # fmt: skip
def test_parts_and_pixels(tmp_path, names, make):
    write(tmp_path / "train.tfrecord-00000-of-00002", range(4), names, make)
    write(tmp_path / "train.tfrecord-00001-of-00002", range(4, 9), names, make)
    write(tmp_path / "test.tfrecord-00000-of-00001", range(9, 12), names, make)
    assert is_record_folder(tmp_path)
    data = read_records(tmp_path)
    for part, rows in ((data.train, range(9)), (data.test, range(9, 12))):
        part.inputs.check((4, 4, 1))
        batches = [(x.numpy(), y.numpy()) for x, y in FEED.ordered(part, 4)]
        images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        np.testing.assert_array_equal(images[..., 0], PIXELS[list(rows)])
        assert labels.tolist() == [row % 3 for row in rows]


def test_other_features_are_named(tmp_path):
    write(tmp_path / "a.tfrecord", range(3), ("picture", "label"))
    with pytest.raises(InputError, match=r"Found: label, picture"):
        read_records(tmp_path)


def test_damaged_record_is_named_by_its_place(tmp_path):
    path = tmp_path / "a.tfrecord"
    write(path, range(9))
    data = bytearray(path.read_bytes())
    place = data.index(b"IDAT") + 6
    data[place : place + 8] = bytes(8)
    path.write_bytes(data)
    part = read_records(tmp_path).train
    other = read_records(tmp_path).test
    with pytest.raises(InputError, match=r"a.tfrecord: the record at byte 0 cannot be read"):
        for half in (part, other):
            half.inputs.check((4, 4, 1))


def test_truncated_file(tmp_path):
    path = tmp_path / "a.tfrecord"
    write(path, range(3))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match="truncated"):
        read_records(path)
