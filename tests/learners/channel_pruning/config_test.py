import pytest

from learners.channel_pruning.config import ChannelPrunedConfig
from utils import flags
from utils.errors import InputError

DOCUMENTED = {
    "cp_prune_option": "auto",
    "cp_prune_list_file": "ratio.list",
    "cp_channel_pruned_path": "./models/pruned_model.keras",
    "cp_best_path": "./models/best_model.keras",
    "cp_original_path": "./models/original_model.keras",
    "cp_preserve_ratio": 0.5,
    "cp_uniform_preserve_ratio": 0.6,
    "cp_noise_tolerance": 0.15,
    "cp_lrn_rate_ft": 1e-4,
    "cp_nb_iters_ft_ratio": 0.2,
    "cp_finetune": False,
    "cp_retrain": False,
    "cp_list_group": 1000,
    "cp_nb_rlouts": 200,
    "cp_nb_rlouts_min": 50,
    "cp_lasso": True,
    "cp_quadruple": False,
    "cp_reward_policy": "accuracy",
    "cp_nb_points_per_layer": 10,
    "cp_nb_batches": 30,
}


def config(**values):
    return flags.build(ChannelPrunedConfig, {f"cp_{name}": v for name, v in values.items()})


def test_documented_names_and_defaults():
    values = flags.flag_values(ChannelPrunedConfig())
    assert {name: values[name] for name in DOCUMENTED} == DOCUMENTED
    assert "cp_search" not in values  # the option is the switch


def test_the_paths_are_the_states_and_the_artefacts():
    found = config(best_path="b.keras", channel_pruned_path="c.keras")
    assert (found.state_path, found.artefact_path) == ("b.keras", "c.keras")
    (notice,) = flags.parse(["--cp_original_path=o.keras"], [ChannelPrunedConfig]).notices
    assert notice.startswith("--cp_original_path has no effect: it is read from --save_path")


def test_auto_is_a_search_with_a_budget_of_its_own():
    assert config().wants_search()
    assert config(preserve_ratio=0.3).own_budget() == "flops:0.3"
    for option in ("uniform", "list"):
        other = config(prune_option=option)
        assert (other.wants_search(), other.own_budget()) == (False, None)
        assert other.takes_setting()


def test_what_other_flags_say_of_the_shared_ones():
    found = config(prune_option="uniform", uniform_preserve_ratio=0.25, quadruple=True)
    assert (found.prune_ratio, found.round_to, found.criterion) == (0.75, 4, "lasso")
    assert (config().round_to, config(lasso=False).criterion) == (1, "l1")
    assert found.fine_tune_lrn_rate is None  # cp_lrn_rate_ft is that between groups


def test_a_list_is_read_where_it_is_the_option(tmp_path):
    path = tmp_path / "my.list"
    found = config(prune_option="list", prune_list_file=str(path))
    with pytest.raises(InputError, match=r"`cp_prune_list_file`: .*my.list cannot be read"):
        found.check_files()
    path.write_text("1.0, 0.25")
    found.check_files()
    assert found.ratio_list().ratios == (0.0, 0.75)
    assert config(prune_list_file="nowhere").ratio_list() is None


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--cp_prune_option=uniform --cp_preserve_ratio=0.5", "`cp_preserve_ratio` has no effect"),
        ("--cp_uniform_preserve_ratio=0.5", "no effect with --cp_prune_option=auto.*=uniform"),
        ("--cp_prune_list_file=a.list", "no effect with --cp_prune_option=auto.*=list"),
        ("--cp_finetune --cp_retrain", "--cp_finetune and --cp_retrain contradict each other"),
        ("--cp_list_group=3", "`cp_list_group` has no effect without tuning .* Received: 3"),
        ("--cp_prune_option=rl", "`cp_prune_option` must be one of 'uniform', 'list', 'auto'"),
        ("--cp_preserve_ratio=0", r"`cp_preserve_ratio` must be in \(0, 1\]. Received: 0.0"),
    ],
)
def test_flags_that_do_not_go_together(argv, message):
    with pytest.raises(InputError, match=message):
        flags.parse(argv.split(), [ChannelPrunedConfig])


def test_the_documents_calls_are_accepted():
    for argv in (
        "--cp_uniform_preserve_ratio 0.5 --cp_prune_option uniform",
        "--cp_prune_option list --cp_prune_list_file ./ratio.list",
        "--cp_preserve_ratio 0.5 --cp_prune_option auto",
        "--cp_finetune=True --cp_list_group=3 --cp_quadruple=True",
    ):
        assert flags.parse(argv.split(), [ChannelPrunedConfig]).notices == ()


@pytest.mark.parametrize(
    ("values", "idle"),
    [
        ({"prune_option": "uniform"}, {"cp_nb_rlouts", "cp_noise_tolerance", "cp_lrn_rate_ft"}),
        ({"finetune": True}, {"cp_noise_tolerance"}),
        ({"retrain": True}, {"cp_noise_tolerance", "cp_nb_iters_ft_ratio"}),
    ],
)
def test_flags_without_effect_beside_others(values, idle):
    config = ChannelPrunedConfig(**values)
    said = flags.notices({ChannelPrunedConfig: config}, {"cp_lasso", *idle})
    assert {sentence.split()[0].removeprefix("--") for sentence in said} == idle
