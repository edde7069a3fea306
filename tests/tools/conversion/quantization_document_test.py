"""The document that stands for flags."""

import pathlib

import pytest

from tools.conversion.quantization_document import argv_of
from utils.errors import InputError


def _document(folder: pathlib.Path, text: str) -> str:
    (folder / "q.yml").write_text(text)
    return f"--config-file={folder}/q.yml"


def test_keys_become_flags_and_flags_count_before_them(tmp_path: pathlib.Path) -> None:
    text = (
        "MODEL: {graph: net/graph.json, params: net/params.npz}\n"
        "QUAN: {strategy: null_, qconfig: {table: t.json}}\n"
        "EVALUATION: {output_node: '5:0'}\n"
    ).replace("null_", "scale_shift_t")
    found = argv_of([_document(tmp_path, text), "--table=other.json"])
    assert found == [
        "--model_file=net",
        "--strategy=scale_shift_t",
        "--output_node=5:0",
        "--table=other.json",
    ]
    assert argv_of(["--seed=1"]) == ["--seed=1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MODEL: {graph: a/graph.json, params: b/params.npz}", "of one folder"),
        ("QUANT: {}", "unknown key 'QUANT'"),
        ("QUAN: {qconfig: {weights: perlayer}}", "unknown key 'weights'"),
        ("QUAN: 3", "must be a mapping"),
        ("SAVE_PATH: [a]", "must be a text"),
    ],
)
def test_wrong_documents_are_refused(tmp_path: pathlib.Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        argv_of([_document(tmp_path, text)])
