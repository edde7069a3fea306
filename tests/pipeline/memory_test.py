"""Samples that no memory could hold are refused before training."""

import keras
import pytest

from pipeline import memory
from tests.learners.runs import make_run
from utils.errors import InputError


@pytest.fixture
def network():
    inputs = keras.Input((8, 8, 1))  # 256 bytes each
    x = keras.layers.Conv2D(100, 3)(inputs)
    return keras.Model(inputs, keras.layers.Conv2D(10, 3)(x))


def refused(monkeypatch, folder, network, *, megabytes, learner="chn-pruned-rmt", **values):
    plan, helper = make_run(learner, folder, **values)
    monkeypatch.setattr(memory, "machine_bytes", lambda: megabytes and megabytes * 10**6)
    memory.refuse_too_many_samples(plan, helper, network)


def test_too_many_positions_are_refused_with_what_would_fit(tmp_path, monkeypatch, network):
    """1,438 images of 256 bytes, 1,000 positions of 100 float32 each: 575.6 MB."""
    values = {"cpr_nb_smpls": 5000, "cpr_nb_crops_per_smpl": 1000}
    message = (
        r"^`cpr_nb_smpls`: 1,438 samples take at least 0\.6 GB, this machine has 0\.5 GB of "
        r"memory\. Received: 5000\. At most 1,249 could fit\.$"
    )
    with pytest.raises(InputError, match=message):
        refused(monkeypatch, tmp_path, network, megabytes=500, **values)
    refused(monkeypatch, tmp_path, network, megabytes=580, **values)
    refused(monkeypatch, tmp_path, network, megabytes=None, **values)


def test_of_more_than_there_are_all_are_taken(tmp_path, monkeypatch, network):
    """1,438 images take 368 kB, however many are asked for."""
    values = {"learner": "full-prec", "nb_smpls_calib": 100_000}
    refused(monkeypatch, tmp_path, network, megabytes=1, **values)
    with pytest.raises(InputError, match=r"^`nb_smpls_calib`: 1,438 samples take at least"):
        refused(monkeypatch, tmp_path, network, megabytes=0.3, **values)


def test_images_that_cannot_be_counted_are_not_refused(tmp_path, monkeypatch, network):
    class Uncounted:
        @property
        def nb_smpls_train(self):
            raise InputError("cannot be counted")

    monkeypatch.setattr(memory, "machine_bytes", lambda: 1)
    plan, counted = make_run("chn-pruned-rmt", tmp_path, cpr_nb_smpls=5000)
    assert memory.refuse_too_many_samples(plan, Uncounted(), network) is None
    with pytest.raises(InputError, match="samples take at least"):
        memory.refuse_too_many_samples(plan, counted, network)


@pytest.mark.parametrize("dtype", ["bfloat16", "uint8"])
def test_inputs_of_any_type(dtype, tmp_path, monkeypatch):
    inputs = keras.Input((1000,), dtype=dtype)
    network = keras.Model(inputs, inputs)
    refused(monkeypatch, tmp_path, network, megabytes=10_000, cpr_nb_smpls=5000)
    with pytest.raises(InputError, match=r"^`nb_smpls_calib`: 1,438 samples"):
        refused(monkeypatch, tmp_path, network, megabytes=1, nb_smpls_calib=2000)


def test_texts_have_no_known_size(tmp_path, monkeypatch):
    inputs = keras.Input((1000,), dtype="string")
    network = keras.Model(inputs, inputs)
    refused(monkeypatch, tmp_path, network, megabytes=1, nb_smpls_calib=2000)
    assert memory._image_bytes(network) == 0


def test_this_machine_has_memory():
    assert memory.machine_bytes() is None or memory.machine_bytes() > 10**8
