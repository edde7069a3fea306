import json

import pytest

from learners.setting import Setting, read_setting
from utils.errors import InputError


@pytest.fixture
def setting():
    return Setting(
        quantity="channels",
        network={"conv1": 16, "conv2": 32},
        keep={"conv1": 8, "conv2": 32},
        facts={"reward": 0.9, "seed": 1},
    )


def test_a_file_gives_back_what_was_saved(setting, tmp_path):
    setting.save(tmp_path / "ratios.json")
    document = json.loads((tmp_path / "ratios.json").read_text())
    assert document["ratios"] == {"conv1": 0.5, "conv2": 0.0}
    found = read_setting(tmp_path / "ratios.json")
    assert (found.network, found.keep, found.facts) == (
        setting.network,
        setting.keep,
        setting.facts,
    )


def test_counts_are_given_to_the_same_network(setting):
    assert setting.counts_for({"conv1": 16, "conv2": 32}) == {"conv1": 8, "conv2": 32}


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
        setting.counts_for(sizes)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema_version": 2}, '"schema_version": 1'),
        ({"quantity": "bits"}, "it chooses 'bits', not 'channels'"),
        ({"keep": {"conv1": 8}}, "'conv2' is in only one of"),
        ({"keep": {"conv1": 8, "conv2": 33}}, "'conv2' keeps 33 of 32"),
        ({"keep": {"conv1": 0, "conv2": 3}}, "`keep` must give a whole number >= 1"),
        ({"keep": {"conv1": 1.5, "conv2": 3}}, "`keep` must give a whole number >= 1"),
        ({"network": []}, "`network` must give a whole number >= 1"),
        ({"network": {}, "keep": {}}, "`network` must give a whole number >= 1"),
    ],
)
def test_files_that_are_no_settings_are_refused(setting, tmp_path, change, reason):
    path = tmp_path / "ratios.json"
    setting.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=f"cannot be used: .*{reason}"):
        read_setting(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"\xff\xfe", b"3"])
def test_files_that_are_not_json_objects_are_refused(tmp_path, content):
    path = tmp_path / "ratios.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be used"):
        read_setting(path)


def test_a_file_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be used: No such file"):
        read_setting(tmp_path / "ratios.json")
    with pytest.raises(InputError, match="cannot be used: Is a directory"):
        read_setting(tmp_path)
