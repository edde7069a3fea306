import numpy as np

from datasets import digits_dataset
from datasets.config import DataConfig
from nets import classification_helper
from nets.convnet_at_digits import ModelHelper

CONFIG = ModelHelper.config_class(batch_size=32, data=DataConfig(val_fraction=0.25))


def test_facts_come_from_the_data_set():
    helper = ModelHelper(CONFIG)
    assert helper.input_shape == digits_dataset.INFO.image_shape
    assert helper.nb_smpls_train == digits_dataset.INFO.num_train
    assert helper.steps_per_epoch == 1438 // 32
    assert (helper.model_name, helper.dataset_name) == ("convnet", "digits")


def test_facts_for_users_of_a_file_normalize_raw_pixels():
    helper = ModelHelper(CONFIG)
    facts = helper.data_facts
    raw = digits_dataset.load(CONFIG.data).test_images[:8].astype(np.float64)
    seen, _ = next(iter(helper.build_dataset_eval()))
    np.testing.assert_allclose((raw - facts.mean) / facts.std, seen[:8], atol=1e-5)
    assert facts.labels == tuple("0123456789") and facts.is_image


def test_builders_follow_flags_seed_and_step():
    helper = ModelHelper(CONFIG, seed=4)
    images, labels = next(iter(helper.build_dataset_train(first_step=7)))
    assert images.shape == (32, 8, 8, 1)
    again = next(iter(ModelHelper(CONFIG, seed=4).build_dataset_train(first_step=7)))
    assert np.array_equal(images, again[0])
    assert np.array_equal(labels, again[1])
    other = next(iter(ModelHelper(CONFIG, seed=5).build_dataset_train(first_step=7)))
    assert not np.array_equal(images, other[0])


def test_what_is_asked_for_again_is_built_once():
    helper = ModelHelper(CONFIG, seed=4)
    training = helper.build_dataset_train()
    assert helper.build_dataset_train() is training
    assert helper.build_dataset_eval() is helper.build_dataset_eval()
    others = [helper.build_dataset_train(first_step=1), helper.build_dataset_train(True)[0]]
    helper.worker = (1, 2)
    others.append(helper.build_dataset_train())
    first = next(iter(training))[0]
    for other in others:
        assert not np.array_equal(first, next(iter(other))[0])


def test_large_ones_are_not_kept(monkeypatch):
    monkeypatch.setattr(classification_helper, "_SMALL", 1000)
    helper = ModelHelper(CONFIG, seed=4)
    assert helper.build_dataset_train() is not helper.build_dataset_train()


def test_validation_and_calibration():
    helper = ModelHelper(CONFIG)
    training, validation = helper.build_dataset_train(enbl_trn_val_split=True)
    assert next(iter(training))[0].shape == (32, 8, 8, 1)
    held_out = {image.tobytes() for images, _ in validation for image in images.numpy()}
    assert 350 <= len(held_out) <= 362  # a quarter of 1,438; a few images may be equal
    calibration = list(helper.build_dataset_calibration(120))
    assert [len(labels) for _, labels in calibration] == [100, 20]
    seen = {image.tobytes() for images, _ in calibration for image in images.numpy()}
    assert not seen & held_out


def test_evaluation_is_the_whole_test_split():
    assert sum(len(labels) for _, labels in ModelHelper().build_dataset_eval()) == 359


def test_identity_is_that_of_the_data():
    one, other = ModelHelper(), ModelHelper()
    assert one.identity() == other.identity()
    assert one.identity()["model_helper_file"] is None
    assert len(one.identity()["data"]) == 16
