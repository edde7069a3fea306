import pytest

from datasets.config import DataConfig
from utils.errors import InputError
from utils.flags import parse, validate


def test_documented_defaults():
    config = DataConfig()
    assert (config.data_disk, config.cycle_length, config.nb_threads) == ("local", 4, 8)
    assert (config.buffer_size, config.prefetch_size) == (1024, 8)
    assert (config.data_dir_local, config.data_hdfs_host, config.data_dir_hdfs) == (None,) * 3


@pytest.mark.parametrize("flag", ["cycle_length=8", "buffer_size=9", "data_dir_hdfs=/x"])
def test_flags_without_effect_say_so(flag):
    (notice,) = parse([f"--{flag}"], [DataConfig]).notices
    assert notice.startswith(f"--{flag.partition('=')[0]} has no effect: ")


def test_all_training_data_cannot_be_held_out():
    with pytest.raises(InputError, match=r"`val_fraction` must be in \(0, 0.5\]. Received: 1.0"):
        validate(DataConfig(val_fraction=1.0))
