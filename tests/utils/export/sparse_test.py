import pathlib

import numpy as np
import pytest

from tests.utils.export.pruned import images, small
from utils.export.check import ExportedFile, check_all, require_passed
from utils.export.config import ConvertConfig, ExportConfig
from utils.export.conversion import Exported, convert_all
from utils.export.errors import ExportError
from utils.export.exporters import EXPORTERS, Source
from utils.export.files import export_files
from utils.export.flatbuffer import read_graph
from utils.export.runner import TFLiteRunner
from utils.export.sparse import MAX_ERROR, require_equal, require_smaller, sparse_file
from utils.export.tflite import convert

DATA = [(images(), np.zeros(16))]


def no_metrics(labels, outputs):
    return {}


@pytest.fixture(scope="module")
def pruned():
    return small(0.9)


@pytest.fixture(scope="module")
def files(pruned):
    return {kind: convert(pruned, kind) for kind in ("float32", "sparse")}


def test_zeros_are_left_out_and_the_numbers_are_the_same(files):
    # A tenth of conv2 (2,304 weights) and head (5,120) stays: values of 4 bytes, places of 1 to 2.
    left_out = 0.9 * 4 * (2_304 + 5_120)
    assert 0.5 * left_out < len(files["float32"]) - len(files["sparse"]) < left_out
    normal, sparse = (TFLiteRunner(content) for content in files.values())
    np.testing.assert_array_equal(sparse(images()), normal(images()))
    graph = read_graph(files["sparse"])
    assert sum(tensor.sparse for tensor in graph.tensors) == 2
    assert (graph.kind(), read_graph(files["float32"]).kind()) == ("sparse", "float32")


def test_a_network_without_zeros_has_none():
    with pytest.raises(ExportError, match=r"^it would take [\d,]+ bytes, without leaving out zero"):
        convert(small(), "sparse")


def test_sizes_that_are_no_gain():
    require_smaller(b"x" * 98, b"x" * 100)
    with pytest.raises(
        ExportError, match=r"it would take 100 bytes, without .* zeros 100: no kern"
    ):
        require_smaller(b"x" * 100, b"x" * 100)


def test_other_numbers_are_refused(files):
    require_equal(files["sparse"], files["float32"])
    other = small(0.9)
    other.get_layer("conv2").kernel.assign(other.get_layer("conv2").kernel * (1 + 5 * MAX_ERROR))
    with pytest.raises(ExportError, match=r"computes something else .* differ by .*e-0\d of their"):
        require_equal(files["sparse"], convert(other, "float32"))
    broken = small(0.9)
    broken.get_layer("head").bias.assign(np.full(10, np.nan))
    with pytest.raises(ExportError, match=r"its outputs differ by nan of their size"):
        require_equal(convert(broken, "float32"), files["float32"])


def test_a_quantized_network_has_none():
    with pytest.raises(ExportError, match="stored in float, and this network is quantized"):
        sparse_file(Source(saved_model=pathlib.Path("none"), ranges_inside=True))


def test_what_cannot_be_made_is_turned_down_and_fails_nothing(pruned):
    networks = [
        Exported(name="before", model=small(), is_result=False),
        Exported(name="after", model=small()),
        Exported(name="good", model=pruned),
    ]
    made = convert_all(networks, ["sparse"], ConvertConfig(), None)
    assert set(made) == {("after", "sparse"), ("good", "sparse")}  # optional: of results only
    found = made["after", "sparse"]
    assert (found.content, found.failed) == (None, "") and "no kernel has zeros" in found.declined
    assert len(made["good", "sparse"].content) < 20_000


def test_what_is_wrong_on_the_data_is_turned_down(files):
    """However a file came about: it is held against its network."""
    wrong = ExportedFile(network="after", kind="sparse", content=files["sparse"])
    checked = check_all({"after": small(0.9, seed=1)}, [wrong], DATA, no_metrics)
    (result,) = checked.files
    assert "rounding explains 0.0001" in result.declined
    assert not result.passed and not result.reasons and not result.failed
    require_passed(checked.files)  # nothing has failed


def test_nothing_is_written_where_there_is_nothing_to_gain(tmp_path):
    (result,) = export_files(
        small(),
        tmp_path / "model.keras",
        ExportConfig(tflite="none", export_sparse=True),
        calibration=None,
        dataset=DATA,
        calc_metrics=no_metrics,
    )
    assert result.kind == "sparse" and "no kernel has zeros enough" in result.declined
    assert result.path is None and list(tmp_path.iterdir()) == []


def test_the_row():
    row = EXPORTERS["sparse"]
    assert row.optional and not row.calibrated and row.max_error == 1e-4
    assert ExportConfig(tflite="int8", export_sparse=True).kinds() == ("int8", "sparse")
