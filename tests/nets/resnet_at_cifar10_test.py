import keras
import numpy as np
import pytest

from datasets.config import DataConfig
from nets.pretrained import load_pretrained
from nets.resnet_at_cifar10 import ModelHelper
from utils.errors import InputError

Config = ModelHelper.config_class


@pytest.fixture(scope="module", params=[20, 56])
def size(request):
    return request.param


def pretrained(size, folder, real_file):
    helper = ModelHelper(Config(resnet_size=size, data=DataConfig(data_dir_local=str(folder))))
    model = helper.build_model()
    load_pretrained(model, real_file(f"weights/resnet{size}.npz"), helper.npz_to_weights)
    return helper, model


def test_golden_logits(size, cifar10_folder, real_file):
    helper, model = pretrained(size, cifar10_folder, real_file)
    golden = np.load(real_file("weights/golden_logits_test500.npz"))[f"resnet{size}"]
    logits = model.predict(helper.build_dataset_eval().take(5), verbose=0)
    assert np.abs(logits - golden).max() <= 1e-3


def test_accuracy_on_the_real_test_set(cifar10_folder, real_file):
    helper, model = pretrained(20, cifar10_folder, real_file)
    batches = helper.build_dataset_eval()
    answers = np.argmax(model.predict(batches, verbose=0), axis=1)
    labels = np.concatenate([labels for _, labels in batches])
    assert np.mean(answers == labels) == pytest.approx(0.9173, abs=2e-4)


def test_weights_of_another_size_are_refused(real_file):
    helper = ModelHelper(Config(resnet_size=32))
    message = r"fit is 'stage1_block3_conv1/kernel': the file has no .* shape \(3, 3, 16, 16\)"
    with pytest.raises(InputError, match=message):
        load_pretrained(
            helper.build_model(), real_file("weights/resnet20.npz"), helper.npz_to_weights
        )


def test_unknown_size():
    with pytest.raises(InputError, match=r"`resnet_size` must be one of 20, .* Received: 18"):
        Config(resnet_size=18)


def test_documented_defaults():
    config = Config()
    assert (config.lrn_rate_init, config.batch_size_norm, config.momentum) == (0.1, 128, 0.9)
    assert (config.loss_w_dcy, config.nb_epochs_rat, config.resnet_size) == (2e-4, 1.0, 20)


def test_projection_shortcut():
    model = ModelHelper(Config(resnet_shortcut="projection")).build_model()
    assert model.get_layer("stage2_block0_shortcut_conv").kernel.shape == (1, 1, 16, 32)


def test_saved_model_needs_nothing_of_ours(tmp_path):
    model = ModelHelper().build_model()
    model.save(tmp_path / "m.keras")
    images = np.random.default_rng(0).random((2, 32, 32, 3), dtype=np.float32)
    again = keras.saving.load_model(tmp_path / "m.keras", compile=False)
    assert np.array_equal(model(images), again(images))
    modules = {type(operation).__module__.partition(".")[0] for operation in again.operations}
    assert modules == {"keras"}
