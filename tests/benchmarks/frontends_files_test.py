"""The files that rows of front ends read; those of all formats are read in frontends_bench_test."""

import pytest

from benchmarks.frontends_files import write_resnet50


def test_the_onnx_file_is_a_resnet_50(tmp_path):
    onnx = pytest.importorskip("onnx")
    write_resnet50(tmp_path / "net.onnx", seed=0, first=4)
    model = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(model)
    assert sum(node.op_type == "Conv" for node in model.graph.node) == 53
    assert [tuple(each.dims) for each in model.graph.initializer][-2:] == [(1000, 128), (1000,)]
