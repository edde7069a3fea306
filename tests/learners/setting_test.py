import dataclasses
import json

import pytest

from learners.setting import Setting, read_setting
from utils.errors import InputError


@pytest.fixture
def setting():
    return Setting(
        quantity="channels",
        network={"conv1": 16, "conv2": 32},
        values={"conv1": 8, "conv2": 32},
        facts={"reward": 0.9, "seed": 1},
    )


def bits():
    return Setting(quantity="bits", network={"conv1": 432}, values={"conv1": 4})


def test_a_file_gives_back_what_was_saved(setting, tmp_path):
    setting.save(tmp_path / "ratios.json")
    document = json.loads((tmp_path / "ratios.json").read_text())
    assert document["ratios"] == {"conv1": 0.5, "conv2": 0.0}
    found = read_setting(tmp_path / "ratios.json")
    assert (found.quantity, found.network, found.values, found.facts) == (
        "channels",
        setting.network,
        setting.values,
        setting.facts,
    )


@pytest.mark.parametrize(
    ("setting", "ratio"),
    [
        (Setting(quantity="sparsity", network={"conv1": 400}, values={"conv1": 100}), 0.75),
        (bits(), 1 - 4 / 32),
    ],
)
def test_settings_of_other_quantities(setting, ratio, tmp_path):
    setting.save(tmp_path / "setting.json")
    assert json.loads((tmp_path / "setting.json").read_text())["ratios"] == {"conv1": ratio}
    found = read_setting(tmp_path / "setting.json", setting.quantity)
    assert (found.quantity, found.values) == (setting.quantity, setting.values)


def test_files_of_version_1_are_channels(tmp_path):
    document = {
        "schema_version": 1,
        "quantity": "channels",
        "network": {"conv1": 16},
        "keep": {"conv1": 8},
        "ratios": {"conv1": 0.5},
        "seed": 3,
    }
    (tmp_path / "ratios.json").write_text(json.dumps(document))
    found = read_setting(tmp_path / "ratios.json", "channels")
    assert (found.network, found.values, found.facts) == ({"conv1": 16}, {"conv1": 8}, {"seed": 3})


def test_values_are_given_to_the_same_network(setting):
    assert setting.values_for({"conv1": 16, "conv2": 32}) == {"conv1": 8, "conv2": 32}


@pytest.mark.parametrize(
    ("sizes", "difference"),
    [
        ({"conv1": 16, "conv2": 64}, "'conv2' has 64 channels here, 32 there"),
        ({"conv1": 16, "conv2": 32, "fc": 10}, "no entry for 'fc'"),
        ({"conv1": 16}, "it has 'conv2', which is not pruned here"),
    ],
)
def test_another_network_is_refused_by_the_first_difference(setting, sizes, difference):
    with pytest.raises(InputError, match=f"made for another network .*{difference}"):
        setting.values_for(sizes)


@pytest.mark.parametrize(
    ("sizes", "difference"),
    [
        ({"conv1": 216}, "'conv1' has 216 weights here, 432 there"),
        ({}, "it has 'conv1', which is not quantized here"),
    ],
)
def test_messages_have_the_words_of_the_quantity(sizes, difference):
    with pytest.raises(InputError, match=f"{difference}.*what is quantized as they were"):
        bits().values_for(sizes)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema_version": 3}, '"schema_version": 2'),
        ({"schema_version": 1}, "`keep` must give a whole number >= 1"),
        ({"schema_version": [2]}, '"schema_version": 2'),
        ({"schema_version": True}, '"schema_version": 2'),
        ({"quantity": "bits"}, "it chooses 'bits', not 'channels'"),
        ({"quantity": ["bits"]}, r"it chooses \['bits'\], not 'channels'"),
        ({"values": {"conv1": 8}}, "'conv2' is in only one of `network` and `values`"),
        ({"values": {"conv1": 8, "conv2": 33}}, "'conv2' keeps 33 of 32 channels"),
        ({"values": {"conv1": 0, "conv2": 3}}, "`values` must give a whole number >= 1"),
        ({"values": {"conv1": 1.5, "conv2": 3}}, "`values` must give a whole number >= 1"),
        ({"network": []}, "`network` must give a whole number >= 1"),
        ({"network": {}, "values": {}}, "`network` must give a whole number >= 1"),
    ],
)
def test_files_that_are_no_settings_are_refused(setting, tmp_path, change, reason):
    path = tmp_path / "ratios.json"
    setting.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=f"cannot be used: .*{reason}"):
        read_setting(path, "channels")


def test_more_bits_than_a_float_has_are_refused(tmp_path):
    path = tmp_path / "bits.json"
    dataclasses.replace(bits(), values={"conv1": 33}).save(path)
    with pytest.raises(InputError, match="'conv1' is given 33 bits, more than 32"):
        read_setting(path)


def test_unknown_quantities_are_refused_with_the_known(setting, tmp_path):
    path = tmp_path / "ratios.json"
    setting.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"quantity": "colours"}))
    known = "it chooses 'colours', not 'channels' or 'sparsity' or 'bits'"
    with pytest.raises(InputError, match=known):
        read_setting(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"\xff\xfe", b"3", b"[" * 100_000])
def test_files_that_are_not_json_objects_are_refused(tmp_path, content):
    path = tmp_path / "ratios.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be used"):
        read_setting(path)


def test_a_file_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"cannot be used: .*ratios.json: cannot be read: No such file"
    ):
        read_setting(tmp_path / "ratios.json")
    with pytest.raises(InputError, match=r"cannot be used: .*: cannot be read: Is a directory"):
        read_setting(tmp_path)
