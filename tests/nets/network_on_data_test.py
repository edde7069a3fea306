"""The helper of a network's file and data."""

import keras
import numpy as np
import pytest
from PIL import Image

from datasets.config import DataConfig
from nets.config import NetworkOnDataConfig
from nets.network_on_data import ModelHelper
from utils.errors import InputError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (60, 6, 6, 1)).astype(np.uint8)
LABELS = (IMAGES[:, 0, 0, 0] > 127).astype(np.int64)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Is right on every image, on inputs in -1..1: the corner's sign decides."""
    inputs = keras.Input((6, 6, 1))
    outputs = keras.layers.Dense(2, name="fc")(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, outputs)
    kernel = np.zeros((36, 2), np.float32)
    kernel[0] = [-1.0, 1.0]
    model.get_layer("fc").set_weights([kernel, np.zeros(2, np.float32)])
    path = tmp_path_factory.mktemp("network") / "net.keras"
    model.save(path)
    return path


@pytest.fixture
def arrays(tmp_path):
    path = tmp_path / "d.npz"
    np.savez(path, x_train=IMAGES[:40], y_train=LABELS[:40], x_test=IMAGES[40:], y_test=LABELS[40:])
    return path


def helper(network, source, **values):
    config = NetworkOnDataConfig(model=str(network), data_source=str(source), **values)
    made = ModelHelper(config, seed=3)
    made.check_files()
    return made


def labels_of(dataset):
    return np.concatenate([y.numpy() for _, y in dataset])


def test_scale_loss_and_facts(network, arrays, capsys):
    made = helper(network, arrays, batch_size=16)
    model = made.build_model()
    told = capsys.readouterr().err
    assert "net.keras on" in told
    assert "40 training and 20 test samples of 6 x 6 x 1, values -1..1" in told
    assert "right on 40 of 40 training samples (100.0%)" in told
    images, labels = next(iter(made.build_dataset_eval()))
    np.testing.assert_allclose(images, IMAGES[40:] / 127.5 - 1, atol=1e-6)
    facts = made.data_facts
    assert (facts.mean, facts.std, facts.is_image) == ((127.5,), (127.5,), True)
    loss, metrics = made.calc_loss(labels, model(images), [])
    logits = np.asarray(model(images))
    wanted = np.log1p(np.exp(logits[:, 0] - logits[:, 1]) ** np.where(LABELS[40:] == 1, 1, -1))
    assert float(loss) == pytest.approx(float(wanted.mean()), rel=1e-4)
    assert float(metrics["accuracy"]) == 1.0
    assert (made.steps_per_epoch, made.nb_smpls_train) == (2, 40)
    assert (made.model_name, made.dataset_name) == ("net", "d.npz")
    assert made.setup_lrn_rate(3)[1] == 6


def test_held_out_samples_are_in_no_training_or_calibration_batch(network, arrays):
    made = helper(network, arrays, batch_size=8, data=DataConfig(val_fraction=0.25))
    training, val = made.build_dataset_train(True)
    held_out = {image.tobytes() for images, _ in val for image in images.numpy()}
    assert len(held_out) == 10
    for dataset in (training.take(20), made.build_dataset_calibration(100)):
        seen = {image.tobytes() for images, _ in dataset for image in images.numpy()}
        assert len(seen) == 30
        assert not seen & held_out
    assert len(labels_of(made.build_dataset_calibration(5))) == 5


def test_batches_of_all_samples_where_there_are_few(network, arrays):
    made = helper(network, arrays)
    assert made.steps_per_epoch == 1
    assert len(labels_of(made.build_dataset_train().take(1))) == 40


def test_what_is_taken_for_white_is_told_where_it_is_neither_1_nor_255(network, tmp_path, capsys):
    sixteenths = IMAGES // 16
    np.savez(tmp_path / "d.npz", x=sixteenths, y=LABELS)
    helper(network, tmp_path / "d.npz").build_model()
    assert "values -1..1 (15 in the data is taken for white)" in capsys.readouterr().err


def test_a_wrong_scale_is_kept_and_told(network, arrays, capsys):
    helper(network, arrays, scale="0..1").build_model()
    assert "with --scale=-1..1 it would be right on 100.0% instead of" in capsys.readouterr().err


def test_a_scale_of_colors_for_gray_images(network, arrays):
    with pytest.raises(InputError, match="--scale=imagenet is for images of three channels"):
        helper(network, arrays, scale="imagenet").build_model()


@pytest.mark.parametrize("shape", [(6, 6, 1), (36,)])
def test_standard_is_the_mean_of_each_channel(shape, tmp_path, arrays):
    inputs = keras.Input(shape)
    keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs))).save(
        tmp_path / "net.keras"
    )
    made = helper(tmp_path / "net.keras", arrays, scale="standard")
    images = np.concatenate([x.numpy() for x, _ in made.build_dataset_train().take(1)])
    assert images.shape == (40, *shape)
    assert images.mean() == pytest.approx(0.0, abs=1e-4)
    assert images.std() == pytest.approx(1.0, abs=1e-4)


def test_no_better_than_guessing(network, tmp_path, capsys):
    np.savez(tmp_path / "d.npz", x=RNG.integers(0, 256, (200, 6, 6)), y=np.arange(200) % 2)
    helper(network, tmp_path / "d.npz").build_model()
    told = capsys.readouterr().err
    assert "no better than guessing" in told
    assert "--scale=0..1|0..255|-1..1|imagenet" in told


BATCHES = """
import numpy as np, tensorflow as tf
def train_data():
    x = np.random.default_rng(0).normal(size=(24, 6, 6, 1)).astype("float32")
    return tf.data.Dataset.from_tensor_slices((x, (x[:, 0, 0, 0] > 0).astype("int32"))).batch(8)
test_data = train_data
"""


def test_batches_of_ones_own_code(network, tmp_path, capsys):
    (tmp_path / "my_data.py").write_text(BATCHES)
    made = helper(network, tmp_path / "my_data.py")
    assert made.steps_per_epoch == 3
    told = capsys.readouterr().err
    assert "net.keras on my_data: before anything is done loss" in told
    assert "accuracy 1 on the first batch" in told
    images, labels = next(iter(made.build_dataset_train()))
    _, metrics = made.calc_loss(labels, made.build_model()(images), [])
    assert float(metrics["accuracy"]) == 1.0
    with pytest.raises(InputError, match="held"):
        made.build_dataset_train(True)


def test_networks_that_it_cannot_serve(tmp_path, arrays):
    two = [keras.Input((6, 6, 1)), keras.Input((6, 6, 1))]
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(keras.layers.Add()(two)))
    keras.Model(two, outputs).save(tmp_path / "two.keras")
    with pytest.raises(InputError, match="gives one input; the network has 2"):
        helper(tmp_path / "two.keras", arrays).build_model()
    inputs = keras.Input((None, None, 1))
    outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(inputs))
    keras.Model(inputs, outputs).save(tmp_path / "open.keras")
    with pytest.raises(InputError, match=r"open size \(None, None, 1\)"):
        helper(tmp_path / "open.keras", arrays).build_model()


def test_training_is_followed_on_the_datas_own_validation_part(network, arrays, tmp_path):
    assert helper(network, arrays).build_dataset_val() is None
    for part, count in (("train", 6), ("val", 4), ("test", 2)):
        for number in range(count):
            folder = tmp_path / "photos" / part / f"class {number % 2}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(IMAGES[number, ..., 0]).save(folder / f"{number}.png")
    made = helper(network, tmp_path / "photos")
    assert len(labels_of(made.build_dataset_val())) == 4
    assert len(labels_of(made.build_dataset_eval())) == 2
    assert len(labels_of(made.build_dataset_train(True)[1])) == 4


def test_images_without_labels_get_the_networks_own_answers(network, tmp_path, capsys):
    for number, image in enumerate(IMAGES):
        Image.fromarray(image[:, :, 0]).save(tmp_path / f"{number:02}.png")
    made = helper(network, tmp_path, scale="-1..1")
    made.build_model()
    told = capsys.readouterr().err
    assert "no sub-folders for classes" in told
    assert "right on 30 of 30 training samples (100.0%)" in told
    kept, held_out = made.build_dataset_train(enbl_trn_val_split=True)
    del kept
    images, labels = next(iter(held_out))
    assert len(labels) == 18
    np.testing.assert_array_equal(labels, images[:, 0, 0, 0] > 0)
    with pytest.raises(InputError, match="no labels by which the scale of the images could be"):
        helper(network, tmp_path).build_model()
