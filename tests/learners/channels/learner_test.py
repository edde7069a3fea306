"""What the channel learners share; each learner's recipe is tested beside it."""

import numpy as np
import pytest

from learners.base import Trained
from learners.channels.groups import prunable_groups
from learners.channels.learner import ChannelLearner
from learners.channels.selection import SelectionOptions
from learners.context import StageContext
from learners.setting import Setting
from tests.learners.runs import make_run
from utils.errors import InputError
from utils.graph import from_keras

SIZES = {"conv1": 32, "conv2": 64, "conv3": 64, "fc1": 64}


class Cutting(ChannelLearner):
    """The shortest recipe there is."""

    def train(self):
        return Trained(self.pruned(self.graph(self.model)))

    def options(self):
        return SelectionOptions()


def learner_in(folder, model, setting=None, **values):
    plan, helper = make_run("chn-pruned-rmt", folder, **{"nb_epochs": "0", **values})
    context = StageContext(
        run=plan.run,
        stage=plan.stages[0],
        helper=helper,
        budget=plan.budget,
        setting=setting,
        log_dir=plan.log_dir,
    )
    return Cutting(context, model)


def widths(model):
    return {name: model.get_layer(name).output.shape[-1] for name in SIZES}


def test_a_recipe_of_one_line_cuts(trained_digits, tmp_path):
    learner = learner_in(tmp_path, trained_digits, cpr_prune_ratio=0.75)
    model = learner.train().model
    assert widths(model) == {"conv1": 8, "conv2": 16, "conv3": 16, "fc1": 16}
    assert set(learner.layers) == {"conv2", "conv3", "fc1", "fc2"}
    assert set(learner.seconds) == {"selection"}


def test_some_groups_by_given_counts(trained_digits, tmp_path):
    learner = learner_in(tmp_path, trained_digits)
    graph = from_keras(trained_digits)
    groups = [group for group in learner_groups(learner, graph) if group.name == "conv2"]
    model = learner.pruned(graph, groups, {"conv2": 10})
    assert widths(model) == SIZES | {"conv2": 10}
    learner.pruned(graph, groups, {"conv2": 64})
    assert widths(trained_digits) == SIZES  # which was not changed


def learner_groups(learner, graph):
    return prunable_groups(graph, learner.config)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"cpr_prune_ratio": 0.25}, {"conv1": 24, "conv2": 48, "conv3": 48, "fc1": 48}),
        ({"setting": SIZES | {"conv2": 7}}, SIZES | {"conv2": 7}),
    ],
)
def test_counts_of_a_ratio_or_a_setting(trained_digits, tmp_path, values, wanted):
    chosen = values.pop("setting", None)
    setting = chosen and Setting(quantity="channels", network=SIZES, values=chosen)
    learner = learner_in(tmp_path, trained_digits, setting, **values)
    graph = from_keras(trained_digits)
    assert learner.counts(graph, learner_groups(learner, graph)) == wanted


def test_a_trial_has_half_the_channels(trained_digits, tmp_path):
    config = learner_in(tmp_path, trained_digits).config
    model = Cutting.trial(trained_digits, config, allow_unsafe=False)
    assert widths(model) == {"conv1": 16, "conv2": 32, "conv3": 32, "fc1": 32}


def test_a_list_of_another_network_is_refused(trained_digits, tmp_path):
    path = tmp_path / "a.list"
    path.write_text("0.5, 0.5, 0.5")
    plan, helper = make_run(
        "channel", tmp_path, cp_prune_option="list", cp_prune_list_file=str(path)
    )
    config = plan.stages[0].config
    with pytest.raises(InputError, match=r"a.list holds 3 ratios, and 4 layers .*: conv1, conv2"):
        Cutting.check(trained_digits, config, helper, allow_unsafe=False)
    path.write_text("0.5, 0.5, 0.5, 1")
    Cutting.check(trained_digits, config, helper, allow_unsafe=False)


def test_the_images_are_those_of_the_flags(trained_digits, tmp_path):
    sampler = learner_in(tmp_path, trained_digits, cpr_nb_smpls=100).sampler()
    batches = list(sampler.batches)
    assert sum(len(batch) for batch in batches) == sampler.num_images == 100
    assert sampler.num_positions == 4
    assert np.asarray(batches[0]).shape[1:] == (8, 8, 1)


def test_a_search_needs_a_budget(trained_digits, tmp_path):
    with pytest.raises(ValueError, match=r"a search needs `context\.budget`"):
        learner_in(tmp_path, trained_digits).searched(from_keras(trained_digits))
