from learners.discrimination_aware_pruning.config import DisChnPrunedConfig
from utils import flags


def test_documented_names_and_defaults():
    values = flags.flag_values(DisChnPrunedConfig())
    documented = {
        "dcp_save_path": "./models_dcp/model.keras",
        "dcp_save_path_eval": "./models_dcp_eval/model.keras",
        "dcp_prune_ratio": 0.5,
        "dcp_nb_stages": 3,
        "dcp_lrn_rate_adam": 1e-3,
        "dcp_nb_iters_block": 10000,
        "dcp_nb_iters_layer": 500,
    }
    assert {name: values[name] for name in documented} == documented


def test_counts_may_come_from_a_setting_and_budgets_know_their_step():
    config = DisChnPrunedConfig(latency_step=4)
    assert config.takes_setting() and not config.wants_search()
    assert config.channel_search.latency_step == 4


def test_the_help_states_the_scaling():
    (spec,) = (s for s in flags.describe(DisChnPrunedConfig) if s.name == "dcp_scale_iters")
    assert "at most 0.2 epochs for each stage, 0.1 for each layer, but 50" in spec.info.help
