"""A choice and its setting file."""

import pytest

from learners.auto.joint import Joint, from_setting, sizes, to_setting
from learners.auto.offers import Option
from learners.setting import Setting, read_setting
from utils.errors import InputError


@pytest.fixture
def joint(places):
    options = {layer.name: Option(bits=4) for layer in places.layers}
    options["two"] = Option(bits=3, percent=40, pattern="element")
    options["head"] = Option(bits=8, percent=50, pattern="2:4")
    widths = {group.name: group.size - 2 for group in places.groups}
    return Joint(widths=widths, options=options)


def test_it_comes_back_from_the_file(joint, places, tmp_path):
    to_setting(joint, places.groups, places.layers).save(tmp_path / "setting.json")
    read = read_setting(tmp_path / "setting.json", "joint")
    assert from_setting(read, places.groups, places.layers) == joint
    assert read.values["two/percent"] == 40
    assert read.values["head/of_four"] == 2


def test_a_contradiction_is_refused(joint, places):
    values = joint.values() | {"two/of_four": 2}
    setting = Setting(
        quantity="joint", network=sizes(places.groups, places.layers), values=values, path="it"
    )
    with pytest.raises(InputError, match="'two' is given 2 of four and 40 percent"):
        from_setting(setting, places.groups, places.layers)


def test_another_network_is_refused(joint, places):
    setting = to_setting(joint, places.groups, places.layers[:-1])
    with pytest.raises(InputError, match="no entry for 'head/percent'"):
        from_setting(setting, places.groups, places.layers)
