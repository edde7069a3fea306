import pytest

from learners.channel_pruning_gpu.config import ChannelPrunedGpuConfig
from learners.learner_config import Choice
from utils import flags
from utils.errors import InputError

DOCUMENTED = {
    "cpg_save_path": "./models_cpg/model.keras",
    "cpg_save_path_eval": "./models_cpg_eval/model.keras",
    "cpg_prune_ratio_type": "uniform",
    "cpg_prune_ratio": 0.5,
    "cpg_skip_ht_layers": True,
    "cpg_prune_ratio_file": None,
    "cpg_lrn_rate_pgd_init": 1e-10,
    "cpg_lrn_rate_pgd_incr": 1.4,
    "cpg_lrn_rate_pgd_decr": 0.7,
    "cpg_lrn_rate_adam": 1e-2,
    "cpg_nb_iters_layer": 1000,
}


def test_documented_names_and_defaults():
    values = flags.flag_values(ChannelPrunedGpuConfig())
    assert {name: values[name] for name in DOCUMENTED} == DOCUMENTED


@pytest.mark.parametrize("skips", [True, False])
def test_head_and_tail_are_the_first_and_the_last_layer(skips):
    config = ChannelPrunedGpuConfig(skip_ht_layers=skips)
    assert (config.skip_frst_layer, config.skip_last_layer) == (skips, skips)


def test_a_list_says_what_goes(tmp_path):
    assert ChannelPrunedGpuConfig().ratio_list() is None
    assert ChannelPrunedGpuConfig().choice() is None
    (tmp_path / "my.list").write_text("0, 0.75")
    config = ChannelPrunedGpuConfig(
        prune_ratio_type="list", prune_ratio_file=str(tmp_path / "my.list")
    )
    config.check_files()
    assert config.ratio_list().ratios == (0.0, 0.75)
    assert config.choice() == Choice("cpg_prune_ratio_type=list", "a list")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--cpg_prune_ratio_type=list --cpg_prune_ratio=0.5", "no effect with .*_type=list"),
        ("--cpg_prune_ratio_file=a.list", "no effect with --cpg_prune_ratio_type=uniform"),
        ("--cpg_lrn_rate_pgd_incr=1", r"`cpg_lrn_rate_pgd_incr` must be in \(1, inf\)"),
        ("--cpg_lrn_rate_pgd_decr=1", r"`cpg_lrn_rate_pgd_decr` must be in \(0, 1\)"),
        ("--cpg_nb_iters_layer=0", r"`cpg_nb_iters_layer` must be in \[1, 1000000\]"),
    ],
)
def test_flags_that_do_not_go_together(argv, message):
    with pytest.raises(InputError, match=message):
        flags.parse(argv.split(), [ChannelPrunedGpuConfig])


def test_a_list_needs_its_file():
    config = ChannelPrunedGpuConfig(prune_ratio_type="list")
    with pytest.raises(InputError, match="takes the ratios of `cpg_prune_ratio_file`, which was"):
        config.check_files()
    config = ChannelPrunedGpuConfig(prune_ratio_type="list", prune_ratio_file="gone.list")
    with pytest.raises(InputError, match=r"`cpg_prune_ratio_file`: gone.list cannot be read"):
        config.check_files()
