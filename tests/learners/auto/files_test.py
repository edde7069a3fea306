"""Files that decide, on a small network: bytes, and scores as the file gives them."""

import zlib

import numpy as np
import pytest
import tensorflow as tf

from learners.auto.files import DecidingFile, float_bytes
from learners.auto.offers import make_offer
from tests.learners.networks import images
from utils.export.config import ConvertConfig
from utils.export.runner import TFLiteRunner
from utils.export.tflite import convert
from utils.graph import from_keras
from utils.quantization.packed import pack


class Helper:
    """The labels are what the network says of images that are a little brighter."""

    deciding_metric = (None, None)
    collects_outputs = False
    collects_labels = False
    dump_n_eval = None

    def __init__(self, model):
        self.images = images(40)
        outputs = np.asarray(model(self.images * 1.3))
        self.labels = outputs.argmax(axis=1)

    def dataset(self):
        return tf.data.Dataset.from_tensor_slices((self.images, self.labels)).batch(16)

    def build_dataset_calibration(self, number):
        return self.dataset().unbatch().take(number).batch(16)

    def build_metrics(self):
        return ()

    def postprocess(self, outputs):
        return outputs

    @staticmethod
    def calc_loss(labels, outputs, trainable_vars):
        hits = tf.equal(tf.argmax(outputs, axis=-1), tf.cast(labels, tf.int64))
        accuracy = tf.reduce_mean(tf.cast(hits, tf.float32))
        return 1.0 - accuracy, {"accuracy": accuracy}


@pytest.fixture(scope="module")
def helper(model):
    return Helper(model)


def file_of(helper, model, kinds):
    return DecidingFile(make_offer(kinds, None), ConvertConfig(), helper, helper.dataset(), model)


def test_the_packed_file_is_the_network(helper, model):
    file = file_of(helper, model, [])
    seen = file.see(model)
    assert seen.num_bytes == len(pack(from_keras(model))) == file.count(model)
    assert file.drop(seen.scores) == pytest.approx(0.0, abs=1e-5)
    assert file.num_images == 40
    assert float_bytes(model, "fpq") == 4 * model.count_params()


def test_the_int8_file_is_run(helper, model):
    file = file_of(helper, model, ["int8"])
    seen = file.see(model)
    batches = [helper.images[i : i + 16] for i in (0, 16, 32)]
    content = convert(model, "int8", batches)
    hits = TFLiteRunner(content)(helper.images).argmax(axis=1) == helper.labels
    assert seen.num_bytes == len(zlib.compress(content, 9))
    assert seen.scores["accuracy"] == pytest.approx(hits.mean(), abs=1e-5)
    expected = 100 * (file.before["accuracy"] - hits.mean())
    assert file.drop(seen.scores) == pytest.approx(expected, abs=1e-3)
