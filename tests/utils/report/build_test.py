import hashlib
import zlib

import numpy as np
import pytest

from utils.report import deflated_size, file_sha256, network_facts


def test_deflated_size_is_that_of_zlib_level_9(tmp_path):
    content = np.random.default_rng(0).integers(0, 200, 5 << 18, dtype=np.uint8).tobytes()
    (tmp_path / "file").write_bytes(content)
    assert deflated_size(tmp_path / "file") == len(zlib.compress(content, 9))


def test_deflated_size_of_an_empty_file(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert deflated_size(tmp_path / "file") == 8


def test_digest_of_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert file_sha256(tmp_path / "file") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_network_facts(tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(bytes(5000))
    weights = [np.eye(5), np.zeros((10, 7)), np.ones(5)]
    facts = network_facts(weights, flops=700, path=path, top1=0.9, metrics={"mAP": 0.7})
    assert (facts.params, facts.nonzeros, facts.flops) == (100, 10, 700)
    assert facts.sparsity == pytest.approx(0.9)
    assert facts.file_bytes == 5000
    assert facts.file_bytes_deflated < 100
    assert facts.metrics == {"mAP": 0.7}
    assert facts.path == str(path)
    assert facts.sha256 == hashlib.sha256(bytes(5000)).hexdigest()


def test_network_facts_of_what_was_not_measured():
    facts = network_facts([])
    assert (facts.params, facts.sparsity, facts.flops) == (0, 0.0, None)
    assert facts.file_bytes is None
    assert facts.file_bytes_deflated is None
    assert facts.latency_ms_p50 is None
    assert facts.top1 is None
    assert facts.path is None
    assert facts.sha256 is None
