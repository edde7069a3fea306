import keras
import pytest

from datasets.fsdd_dataset import FsddDataConfig
from nets.dscnn_at_fsdd import ModelHelper
from utils.flags import build


def test_learns_the_digits(real_file):
    """One epoch of the twenty: well above the 10 % of guessing."""
    keras.utils.set_random_seed(0)
    data = FsddDataConfig(data_dir_local=str(real_file("fsdd")))
    helper = ModelHelper(ModelHelper.config_class(data=data), seed=0)
    model = helper.build_model()
    model.compile(
        helper.build_optimizer(helper.config.lrn_rate_init),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(helper.build_dataset_train(), steps_per_epoch=42, epochs=1, verbose=0)
    assert history.history["accuracy"][-1] >= 0.25


def test_held_out_speaker_is_a_flag():
    config = build(ModelHelper.config_class, {"split": "speaker:lucas"})
    assert config.data.split == "speaker:lucas"
    assert (config.batch_size, config.lrn_rate_init) == (64, 0.1)


def test_number_of_training_samples_follows_the_split(real_file):
    folder = str(real_file("fsdd"))
    for split, expected in (("official", 2700), ("speaker:lucas", 2500)):
        data = FsddDataConfig(data_dir_local=folder, split=split)
        assert ModelHelper(ModelHelper.config_class(data=data)).nb_smpls_train == expected


@pytest.mark.parametrize("name", ["conv", "block1_dw", "block4_pw"])
def test_layers_have_names(name):
    assert ModelHelper().build_model().get_layer(name).output.shape[-1] == 64
