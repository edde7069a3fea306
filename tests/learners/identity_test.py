"""Digests tell networks and files apart."""

import keras
import numpy as np

from learners.identity import file_digest, network_digest


def network(width: int = 2) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(width)])


def test_equal_networks_have_equal_digests():
    assert network_digest(network()) == network_digest(network())


def test_one_changed_weight_or_shape_changes_the_digest():
    changed = network()
    changed.layers[0].bias.assign(np.array([0.0, 1e-7]))
    digests = {network_digest(model) for model in (network(), changed, network(3))}
    assert len(digests) == 3


def test_files_by_content(tmp_path):
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    assert file_digest(tmp_path / "a") == file_digest(tmp_path / "b")
    assert file_digest(tmp_path / "a") != file_digest(tmp_path / "c")
