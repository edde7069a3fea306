import pytest

from tests.utils.zoo.runs import network
from utils.errors import InputError
from utils.graph import disk, from_keras
from utils.zoo import passes


def write(graphs, folder, check):
    folder.mkdir()
    for name, graph in graphs.items():
        disk.save(graph, folder / name)
    check({name: disk.load(folder / name) for name in graphs})


def test_every_step_is_done(tmp_path):
    pytest.importorskip("torch")
    passed = passes.run_passes(from_keras(network(zeros=0.5)), tmp_path / "ir", write)
    assert max(passed.compiler_distance, passed.torch_distance, passed.tf_distance) < 1e-5
    assert passed.cost.nonzeros < passed.cost.params
    assert {path.name for path in (tmp_path / "ir").iterdir()} == {
        *("IR_for_reconstruct", "IR_fused_for_CModel")
    }


def test_a_graph_that_is_not_the_network_does_not_pass(tmp_path):
    other = from_keras(network(seed=1))
    with pytest.raises(InputError, match="does not pass the compiler"):
        passes.run_passes(
            from_keras(network()),
            tmp_path / "ir",
            lambda graphs, folder, check: check(dict.fromkeys(graphs, other)),
        )


def test_the_digest_tells_weights_apart():
    assert passes.digest(from_keras(network())) == passes.digest(from_keras(network()))
    assert passes.digest(from_keras(network())) != passes.digest(from_keras(network(1)))
