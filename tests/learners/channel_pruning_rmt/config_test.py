import pytest

from learners.channel_pruning_rmt.config import ChannelPrunedRmtConfig
from utils import flags
from utils.errors import InputError


def test_documented_names_and_defaults():
    values = flags.flag_values(ChannelPrunedRmtConfig())
    documented = {
        "cpr_save_path": "./models_cpr/model.keras",
        "cpr_save_path_eval": "./models_cpr_eval/model.keras",
        "cpr_save_path_ws": "./models_cpr_ws/model.keras",
        "cpr_prune_ratio": 0.5,
        "cpr_skip_frst_layer": True,
        "cpr_skip_last_layer": False,
        "cpr_skip_op_names": None,
        "cpr_nb_smpls": 5000,
        "cpr_nb_crops_per_smpl": 10,
        "cpr_ista_lrn_rate": 1e-2,
        "cpr_ista_nb_iters": 100,
        "cpr_lstsq_lrn_rate": 1e-3,
        "cpr_lstsq_nb_iters": 100,
        "cpr_warm_start": False,
    }
    assert {name: values[name] for name in documented} == documented


def test_needless_flags_are_accepted_and_say_so():
    argv = ["--cpr_ista_lrn_rate=0.1", "--cpr_lstsq_lrn_rate=0.1", "--cpr_lstsq_nb_iters=7"]
    notices = flags.parse(argv, [ChannelPrunedRmtConfig]).notices
    assert len(notices) == 3
    assert all(" has no effect: " in notice for notice in notices)


def test_warm_start_needs_its_file(tmp_path):
    ChannelPrunedRmtConfig(save_path_ws="nowhere.keras").check_files()
    config = ChannelPrunedRmtConfig(warm_start=True, save_path_ws=str(tmp_path / "w.keras"))
    message = r"`cpr_warm_start` takes the pruned network at `cpr_save_path_ws`: there is no file"
    with pytest.raises(InputError, match=message):
        config.check_files()
    (tmp_path / "w.keras").write_bytes(b"")
    config.check_files()
