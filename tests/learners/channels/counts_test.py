import pytest

from learners.channels import measured
from learners.channels.counts import ruled_counts
from learners.channels.groups import prunable_groups
from learners.setting import Setting
from tests.learners.channels.learner_test import SIZES, learner_in
from utils.graph import from_keras


@pytest.fixture
def asked(trained_digits, tmp_path):
    graph = from_keras(trained_digits)

    def counts(setting=None, *, keeps=False, **values):
        learner = learner_in(tmp_path, trained_digits, setting, **values)
        groups = prunable_groups(graph, learner.config)
        return ruled_counts(learner, graph, groups, keeps_costs=keeps)

    return counts


def test_neither_or_a_setting(asked):
    assert asked() is None
    chosen = SIZES | {"conv2": 7}
    setting = Setting(quantity="channels", network=SIZES, values=chosen)
    assert asked(setting) == chosen


def test_what_was_measured_is_kept_for_a_resumed_run(asked, tmp_path, monkeypatch):
    made = []

    def convert(model, kind):
        made.append(kind)
        return bytes(4 * model.count_params())

    monkeypatch.setattr(measured, "convert", convert)
    counts = asked(budget="bytes:0.5", keeps=True)
    first = len(made)
    (path,) = tmp_path.glob("**/*.costs.json")
    assert asked(budget="bytes:0.5", keeps=True) == counts
    assert len(made) == first > 0
    path.write_text("{}")
    assert asked(budget="bytes:0.5", keeps=True, resume=False) == counts
    assert len(made) == 2 * first
