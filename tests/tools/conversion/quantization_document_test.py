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
        "QUAN: {strategy: scale_shift_t, qconfig: {table: t.json}}\n"
        "EVALUATION: {output_node: '5:0'}\n"
    )
    found = argv_of([_document(tmp_path, text), "--table=other.json"])
    assert found == [
        "--model_file=net",
        "--strategy=scale_shift_t",
        "--output_node=5:0",
        "--table=other.json",
    ]
    assert argv_of(["--seed=1"]) == ["--seed=1"]


@pytest.mark.parametrize("text", ["null", "~", "'null'", ""])
def test_null_is_the_strategy_of_that_name(tmp_path: pathlib.Path, text: str) -> None:
    assert argv_of([_document(tmp_path, f"QUAN:\n  strategy: {text}\n")]) == ["--strategy=null"]


def test_graphs_of_other_names_are_two_flags(tmp_path: pathlib.Path) -> None:
    text = "MODEL: {graph: ir/IR_fused_for_CModel_graph.json, params: ir/IR_params.npz}"
    document = _document(tmp_path, text)
    assert argv_of([document]) == [
        "--graph_json=ir/IR_fused_for_CModel_graph.json",
        "--params_file=ir/IR_params.npz",
    ]
    assert argv_of([document, "--model_file=m.keras"]) == ["--model_file=m.keras"]
    other = ["--graph-json=a", "--params-file=b"]
    assert argv_of([document, *other]) == other


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MODEL: {graph: a/graph.json}", "`MODEL.params` must be a text. Received: None"),
        ("QUAN:", "`QUAN` must be a mapping"),
        ("QUAN: {qconfig: }", "`QUAN.qconfig` must be a mapping"),
        ("QUAN: {qconfig: {table: }}", "`QUAN.qconfig.table` must be a text. Received: None"),
        ("SAVE_PATH: ''", "must be a text"),
        ("QUANT: {}", "unknown key 'QUANT'"),
        ("QUAN: {qconfig: {weights: perlayer}}", "unknown key 'weights'"),
        ("QUAN: 3", "must be a mapping"),
        ("SAVE_PATH: [a]", "must be a text"),
    ],
)
def test_wrong_documents_are_refused(tmp_path: pathlib.Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        argv_of([_document(tmp_path, text)])
