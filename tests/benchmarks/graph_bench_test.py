import random

from benchmarks import graph_bench
from benchmarks.graph_bench import bottleneck_resnet, fuzz, mutated


def test_mutations_are_seeded_and_change_one_file():
    originals = {"graph.json": b'{"a": [1, {"b": null}]}', "params.npz": bytes(range(200))}
    for seed in range(50):
        first = mutated(originals, random.Random(seed))
        assert first == mutated(originals, random.Random(seed))
        assert sum(first[name] != originals[name] for name in originals) <= 1


def test_short_fuzz_finds_nothing(tmp_path):
    found = fuzz(tmp_path, seed=1, num_inputs=150)
    assert (found["crashes"], found["hangs"]) == (0, 0), found["first_bad"]
    assert found["refused"] > 100 and found["refused"] + found["loaded"] == 150


def test_depth_counts_kernels(monkeypatch):
    monkeypatch.setitem(graph_bench._STAGES, 8, (2, 0))
    kernels = [weight for weight in bottleneck_resnet(8).weights if weight.name == "kernel"]
    assert len(kernels) == 8 + 1  # the projection shortcut is not counted as a layer
