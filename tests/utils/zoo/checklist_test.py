import dataclasses
import json

import pytest

from utils.errors import InputError
from utils.zoo import checklist
from utils.zoo.checklist import Row

ROW = Row(
    model="resnet50v1b",
    folder="20200712_sp93.75_224x224",
    sparse_rate=93.75,
    accuracy=0.7412,
    original_accuracy=0.7767,
    training_date="20200712",
    input_shape="224x224",
    compiler_distance=1e-7,
    nnz=3522685,
    sparsity=0.8618712639560533,
    dense_flops=3948251920,
    sparse_flops=357813835,
    torch_distance=2e-7,
    tf_distance=3e-7,
    quantized_accuracy=None,
    weights="0123456789abcdef",
)


def test_the_documents_row():
    line = checklist.table([ROW]).splitlines()[2]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == [
        *("resnet50v1b", "93.75", "74.12", "77.67", "20200712", "224x224", "yes"),
        *("3522685/0.8619", "3948/357.8", "yes", "yes", "-"),
    ]


def test_written_and_read_again(tmp_path):
    other = dataclasses.replace(ROW, folder="original", quantized_accuracy=0.73)
    checklist.write(tmp_path, [ROW, other])
    assert checklist.read(tmp_path) == (ROW, other)
    assert (tmp_path / "checklist.md").read_text() == checklist.table([ROW, other])
    assert checklist.read(tmp_path / "elsewhere") == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("{}", "it must be a list"),
        ("[1]", r"`\[0\]` must be an object"),
        ("[{}]", "lacks `model`"),
        (json.dumps([{**dataclasses.asdict(ROW), "nnz": "many"}]), "nnz` must be a whole number"),
        (json.dumps([{**dataclasses.asdict(ROW), "nnz": None}]), "nnz` must be a whole number"),
        (json.dumps([{**dataclasses.asdict(ROW), "more": 1}]), "unknown entry 'more'"),
        ("[" * 99_999, "nested too deeply"),
    ],
)
def test_what_is_no_checklist_is_refused(content, said, tmp_path):
    (tmp_path / "checklist.json").write_text(content)
    with pytest.raises(InputError, match=rf"checklist\.json: .*{said}.* Move it away"):
        checklist.read(tmp_path)
