import pytest

from learners.config import RunConfig
from learners.weight_sparsification.config import WeightSparseConfig
from utils import flags
from utils.errors import InputError

DOCUMENTED = {
    "ws_save_path": "./models_ws/model.keras", "ws_prune_ratio": 0.75,
    "ws_prune_ratio_prtl": "optimal", "ws_nb_rlouts": 200, "ws_nb_rlouts_min": 50,
    "ws_reward_type": "single-obj", "ws_lrn_rate_rg": 3e-2, "ws_nb_iters_rg": 20,
    "ws_lrn_rate_ft": 3e-4, "ws_nb_iters_ft": 400, "ws_nb_iters_feval": 25,
    "ws_prune_ratio_exp": 3.0, "ws_iter_ratio_beg": 0.1, "ws_iter_ratio_end": 0.5,
    "ws_mask_update_step": 500.0,
}  # fmt: skip


def test_documented_flags_have_their_defaults():
    specs = {spec.name: spec.default for spec in flags.describe(WeightSparseConfig)}
    assert {name: specs[name] for name in DOCUMENTED} == DOCUMENTED
    assert "ws_search" not in specs  # ws_prune_ratio_prtl switches it


def test_flags_of_the_old_roll_outs_say_that_they_have_no_effect():
    configs = {WeightSparseConfig: WeightSparseConfig()}
    found = flags.notices(configs, {"ws_lrn_rate_ft", "ws_nb_iters_feval", "ws_nb_rlouts"})
    assert len(found) == 2
    assert found[0].startswith("--ws_lrn_rate_ft has no effect: a roll-out looks up kernels")
    assert found[1].endswith("on ws_nb_smpls_search held-out training images.")


@pytest.mark.parametrize(
    ("values", "idle"),
    [
        ({}, {"ws_skip_indivisible", "ws_noise_tolerance"}),
        ({"prune_ratio_prtl": "uniform", "granularity": "1x4"}, {"ws_nb_rlouts"}),
        ({"schedule": "step"}, {"ws_mask_update_step", "ws_iter_ratio_beg"}),
        ({"criterion": "obs"}, {"ws_mask_update_step", "ws_prune_ratio_exp"}),
        ({"granularity": "2:4"}, {"ws_prune_ratio", "ws_prune_ratio_prtl"}),
    ],
)
def test_flags_without_effect_beside_others(values, idle):
    config = WeightSparseConfig(**values)
    said = flags.notices({WeightSparseConfig: config}, {"ws_skip_op_names", *idle})
    assert {sentence.split()[0].removeprefix("--") for sentence in said} == idle


def test_a_schedule_that_is_not_followed_may_end_before_it_begins():
    assert WeightSparseConfig(schedule="once", iter_ratio_beg=0.6).schedule_kind == "once"


@pytest.mark.parametrize(
    ("values", "searches"),
    [
        ({}, True),
        ({"prune_ratio_prtl": "uniform"}, False),
        ({"granularity": "2:4"}, False),
        ({"granularity": "1x4"}, True),
        ({"prune_dict": "some.yaml"}, False),
        ({"ranking": "global"}, False),
    ],
)
def test_it_searches_where_nothing_else_says_the_shares(values, searches):
    config = WeightSparseConfig(**values)
    assert config.wants_search() is searches
    assert config.own_budget() == ("nonzeros:0.25" if searches else None)


def test_the_schedule_follows_the_criterion():
    assert WeightSparseConfig().schedule_kind == "poly"
    assert WeightSparseConfig(criterion="obs").schedule_kind == "once"
    config = WeightSparseConfig(criterion="obs", schedule="poly", prune_ratio_init=0.5)
    assert config.schedule_kind == "poly"


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"iter_ratio_beg": 0.5}, "would end before it begins"),
        ({"granularity": "5:4"}, "`ws_granularity` must be element"),
        ({"prune_dict": "a", "granularity": "2:4"}, "`ws_prune_dict` and `ws_granularity` 2:4"),
        ({"prune_dict": "a", "ranking": "global"}, "`ws_ranking` global and `ws_prune_dict`"),
        ({"granularity": "2:4", "ranking": "global"}, "`ws_ranking` global and `ws_granularity`"),
        ({"criterion": "obs", "ranking": "global"}, "`ws_criterion` obs has errors of each"),
        ({"criterion": "obs", "schedule": "step"}, "nothing says how much that is"),
        ({"criterion": "obs", "prune_ratio_init": 0.5}, "`ws_prune_ratio_init` has no effect"),
        ({"granularity": "2:4", "prune_ratio": 0.9}, "removes 0.5 .* `ws_prune_ratio` is 0.9"),
        (
            {"granularity": "2:4", "criterion": "obs", "schedule": "poly", "prune_ratio_init": 0.3},
            "`ws_prune_ratio_init` has no effect with `ws_granularity` 2:4",
        ),
        ({"frequency": 2000}, "`ws_frequency` must not exceed `ws_sparse_step`"),
    ],
)
def test_contradictions_are_refused(values, match):
    with pytest.raises(InputError, match=match):
        WeightSparseConfig(**values)


@pytest.mark.parametrize("schedule", ["poly", "step"])
def test_a_schedule_needs_training(schedule):
    config = WeightSparseConfig(schedule=schedule)
    with pytest.raises(InputError, match="while the network trains, and --nb_epochs is 0"):
        config.check_run(RunConfig(), counts_given=False, num_epochs=0)
    config.check_run(RunConfig(), counts_given=False, num_epochs=None)


def test_a_start_beyond_the_end_is_refused():
    config = WeightSparseConfig(criterion="obs", schedule="poly", prune_ratio_init=0.8)
    with pytest.raises(InputError, match=r"must not exceed `ws_prune_ratio`.* 0\.8 and 0\.75"):
        config.check_run(RunConfig(), counts_given=True, num_epochs=4)
    config.check_run(RunConfig(budget="nonzeros:0.1"), counts_given=True, num_epochs=4)


def test_stairs_beyond_the_training_are_refused_by_the_number_of_steps():
    config = WeightSparseConfig(schedule="step", sparse_step=200)
    config.check_steps(200)
    with pytest.raises(InputError, match=r"would go at step 200 .* lasts 199 steps"):
        config.check_steps(199)


def test_n_of_m_may_be_said_twice():
    assert WeightSparseConfig(granularity="2:4", prune_ratio=0.5).grain.ratio == 0.5


def test_what_settles_the_shares_is_named():
    assert WeightSparseConfig().choice() is None
    assert WeightSparseConfig(granularity="2:4").choice().flag == "ws_granularity=2:4"
    assert WeightSparseConfig(prune_dict="some.yaml").choice().flag == "ws_prune_dict"
