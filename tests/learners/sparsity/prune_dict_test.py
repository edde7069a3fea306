import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.sparsity.prune_dict import (
    as_prune_dict,
    matching,
    prune_dict_text,
    ratios_by_layer,
    read_prune_dict,
    write_prune_dict,
)
from utils.errors import InputError

LAYERS = ["conv1", "block1/conv_1", "block1/conv_2", "block2/conv_1", "fc"]


def written(tmp_path, text):
    path = tmp_path / "prune.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_own_names_count_first_then_the_first_pattern(tmp_path):
    path = written(tmp_path, '"*": 0.5\nblock1/*: 0.9\nblock*/conv_1: 0.7\nfc: 0\n')
    found = ratios_by_layer(read_prune_dict(path, "f"), LAYERS)
    assert found == dict.fromkeys(LAYERS, 0.5) | {"fc": 0.0}
    path = written(tmp_path, "block1/*: 0.9\nblock*/conv_1: 0.7\nblock2/conv_1: 1e-1\n")
    assert ratios_by_layer(read_prune_dict(path, "f"), LAYERS) == {
        "block1/conv_1": 0.9,
        "block1/conv_2": 0.9,
        "block2/conv_1": 0.1,
    }


def test_json_is_read_as_well(tmp_path):
    entries = {"block?/conv_[12]": 0.25, "fc": 0}
    path = written(tmp_path, json.dumps(entries, indent="\t"))
    assert read_prune_dict(path, "f").entries == entries
    assert read_prune_dict(path, "f").source == f"`f`: {path}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"must be layers with their ratios\. Received: nothing\. Write a line for"),
        ("[conv1, 0.5]", r"must be layers with their ratios\. Received: list\."),
        ("conv1: 0.5\nconv1: 0.6", r"`conv1` stands twice \(line 2\)"),
        ('{"fc": 0.5, "fc": 0.5}', r"an object has the name 'fc' twice"),
        ("conv1: 1", r"ratio of 'conv1' must be .*, in \[0, 1\)\. Received: 1\.$"),
        ("conv1: -0.1", r"Received: -0\.1\.$"),
        ("conv1: .nan", r"Received: nan\.$"),
        ("conv1: true", r"Received: True\.$"),
        ("conv1: half", r"Received: 'half'\.$"),
        ("conv1: {ratio: 0.5}", r"Received: \{'ratio': 0\.5\}\.$"),
        ("on: 0.5", r"name must be a text\. Received: True\. Put it in quotes\."),
        ("'': 0.5", r"name must be a text\. Received: ''\."),
        ("*: 0.5", r"A name that begins with \* needs quotes\.$"),
        ("a: !!python/name:os.system ''", r"the file is no YAML"),
    ],
)
def test_what_is_no_prune_dict_is_refused(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=message) as refusal:
        read_prune_dict(path, "ws_prune_dict")
    assert str(refusal.value).startswith(f"`ws_prune_dict`: {path}")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("entry", "nearest"), [("convl", "Did you mean 'conv1'"), ("zzz*", "Valid: block1/conv_1,")]
)
def test_an_entry_that_meets_no_layer_is_refused(entry, nearest):
    given = as_prune_dict({"*": 0.5, entry: 0.5})
    with pytest.raises(InputError, match=r"^`prune_dict`: no layer .* is named ") as refusal:
        ratios_by_layer(given, LAYERS)
    assert repr(entry) in str(refusal.value) and nearest in str(refusal.value)


def test_a_name_with_the_signs_of_patterns_is_a_name():
    assert ratios_by_layer(as_prune_dict({"a[1]": 0.5}), ["a[1]", "a1"]) == {"a[1]": 0.5, "a1": 0.5}
    assert matching(["a[1]"], "a[1]") and not matching(["a[2]"], "a[1]")


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=20), st.floats(0, 1, exclude_max=True), min_size=1, max_size=4
    )
)
def test_what_is_written_is_read_back(tmp_path_factory, entries):
    path = tmp_path_factory.getbasetemp() / "prune.yaml"
    write_prune_dict(path, entries)
    assert dict(read_prune_dict(path, "f").entries) == entries


def test_comments_stand_behind_the_ratios(tmp_path):
    text = prune_dict_text({"conv1": 0.75, "fc": 0.0}, {"fc": "640 weights"})
    assert text == "conv1: 0.75\nfc: 0.0  # 640 weights\n"
    assert read_prune_dict(written(tmp_path, text), "f").entries == {"conv1": 0.75, "fc": 0.0}
