import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from nets.abstract_model_helper import AbstractModelHelper
from nets.config import HelperConfig
from utils.errors import InputError
from utils.quantization.activation import ActivationQuantizer

IMAGES = np.random.default_rng(0).random((20, 6, 6, 1), dtype=np.float32)
LABELS = np.arange(20, dtype=np.int32) % 3


class Tiny(AbstractModelHelper):
    """The ten lines that the page about own models promises."""

    def build_dataset_train(self):
        return tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(4)

    def build_dataset_eval(self):
        return tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(8)

    def forward(self, inputs):
        return layers.Dense(3, name="fc")(layers.Flatten()(inputs))


def helper(cls=Tiny, **config):
    return cls(HelperConfig(batch_size=4, **config))


def labels_of(dataset, count):
    return np.concatenate([labels.numpy() for _, labels in dataset.take(count)]).tolist()


def test_model_and_names():
    model = helper().build_model()
    assert model.name == "abstract_model_helper_test"
    assert [tensor.name for tensor in model.inputs] == ["images"]
    assert model.input_shape == (None, 6, 6, 1)
    assert helper().dataset_name == "own_data"


def test_infinite_training_data_needs_a_number():
    class Endless(Tiny):
        def build_dataset_train(self):
            return Tiny.build_dataset_train(self)

    with pytest.raises(
        InputError, match=r"Endless: the training images cannot be counted. .*nb_sm"
    ):
        helper(Endless).nb_smpls_train  # noqa: B018  a property


def test_calibration_takes_training_images():
    batches = list(helper(batch_size_eval=5).build_dataset_calibration(7))
    assert [len(labels) for _, labels in batches] == [5, 2]


def test_calibration_gives_the_same_images_at_every_pass():
    """Also where training shuffles: what is sampled in one pass is compared with another."""

    class Shuffled(Tiny):
        def build_dataset_train(self):
            return Tiny.build_dataset_train(self).shuffle(5)

    shuffled = helper(Shuffled)
    passes = [shuffled.build_dataset_calibration(12) for _ in range(2)]
    images = [np.concatenate([batch.numpy() for batch, _ in data]) for data in (*passes, *passes)]
    assert images[0].shape[0] == 12
    for other in images[1:]:
        np.testing.assert_array_equal(images[0], other)


def test_schedule_changes_with_the_epoch_itself():
    class Stepped(Tiny):
        num_epochs, epochs_decay, decay_rates = 2, (1,), (1.0, 0.1)

    schedule, steps = helper(Stepped, lrn_rate_init=0.1, batch_size_norm=4.0).setup_lrn_rate()
    assert steps == 10
    rates = [float(schedule(step)) for step in (0, 4, 5, 9)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01])


def test_loss_is_cross_entropy_plus_decay():
    outputs = tf.constant([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    kernel = keras.Variable([3.0, 4.0], name="kernel")
    gamma = keras.Variable([100.0], name="gamma")
    scale = ActivationQuantizer()
    scale.build((None, 4))
    trained = [kernel, gamma, *scale.trainable_variables]
    loss, metrics = helper(loss_w_dcy=0.1).calc_loss(tf.constant([0, 2]), outputs, trained)
    cross_entropy = [np.log(np.exp(2) + 2) - 2, np.log(np.e + 2)]
    assert float(loss) == pytest.approx(np.mean(cross_entropy) + 0.1 * 25 / 2, abs=1e-5)
    assert {name: float(value) for name, value in metrics.items()} == {"accuracy": 0.5}
    for labels in (tf.one_hot([0, 2], 3), tf.constant([[0], [2]])):
        again, metrics = helper(loss_w_dcy=0.1).calc_loss(labels, outputs, trained)
        assert float(again) == pytest.approx(float(loss), abs=1e-6)
        assert float(metrics["accuracy"]) == 0.5


def test_schedule_scales_with_epochs_batch_and_workers():
    one = helper(nb_epochs_rat=0.1, lrn_rate_init=0.32, batch_size_norm=16.0)
    schedule, num_steps = one.setup_lrn_rate()
    assert num_steps == 125  # 25 epochs of 5 steps
    rates = [float(schedule(step)) for step in (0, 49, 50, 74, 75, 99, 100)]
    assert rates == pytest.approx([0.08, 0.08, 8e-3, 8e-3, 8e-4, 8e-4, 8e-5])
    one.worker = (1, 2)
    schedule, num_steps = one.setup_lrn_rate(nb_epochs=10)
    assert num_steps == 20
    assert float(schedule(0)) == pytest.approx(0.16)
    assert one.setup_lrn_rate(nb_epochs=0)[1] == 0


def test_constant_rate():
    class Constant(Tiny):
        num_epochs = 3
        epochs_decay = ()
        decay_rates = (1.0,)

    assert helper(Constant, lrn_rate_init=0.2, batch_size_norm=4.0).setup_lrn_rate() == (0.2, 15)


def test_optimizer_is_sgd_with_momentum():
    optimizer = helper(momentum=0.8).build_optimizer(0.25)
    assert isinstance(optimizer, keras.optimizers.SGD)
    assert (float(optimizer.learning_rate), optimizer.momentum) == (0.25, 0.8)
    assert optimizer.weight_decay is None


def test_names_that_tensorflow_does_not_take(capsys):
    class Odd(Tiny):
        model_name = "Mein Netz ü"

        def forward(self, inputs):
            return layers.Dense(3, name="letzte Schicht")(layers.Flatten()(inputs))

    model = helper(Odd).build_model()
    assert model.name == "Mein_Netz_u"
    assert [layer.name for layer in model.layers][::2] == ["images", "letzte_Schicht"]
    assert "'letzte Schicht' is called 'letzte_Schicht'" in capsys.readouterr().err
    assert tf.function(model)(IMAGES).shape == (20, 3)


def test_no_forward_at_all():
    class Empty(Tiny):
        forward = AbstractModelHelper.forward

    with pytest.raises(InputError, match=r"Empty has no forward\(self, inputs\)"):
        helper(Empty).build_model()


def test_outputs_that_do_not_depend_on_the_inputs():
    class Loose(Tiny):
        def forward(self, inputs):
            return layers.Dense(3)(keras.Input((4,)))

    with pytest.raises(InputError, match=r"Loose.forward does not make a Functional model"):
        helper(Loose).build_model()


def test_optional_parts_do_nothing():
    one = helper()
    model = one.build_model()
    before = [np.array(weight) for weight in model.weights]
    one.warm_start(model)
    one.check_files()
    assert all(np.array_equal(a, b) for a, b in zip(before, model.weights, strict=True))
    assert one.postprocess(IMAGES) is IMAGES
    assert one.dump_n_eval(None, "eval") == {}
    assert one.npz_to_weights({"a": IMAGES}) == {"a": IMAGES}


class Softmax(Tiny):
    def forward(self, inputs):
        return layers.Softmax()(super().forward(inputs))


class OwnLogits(Softmax):
    def logits(self, outputs):
        return outputs * 2.0


def test_logits_are_those_behind_the_networks_ending():
    one = helper(Softmax)
    probabilities = keras.ops.softmax(np.array([[4.0, 0.0, -2.0]], np.float32))
    np.testing.assert_array_equal(one.logits(probabilities), probabilities)  # nothing known yet
    one.find_logits(one.build_model())
    found = np.asarray(one.logits(probabilities))
    np.testing.assert_allclose(found - found[:, :1], [[0.0, -4.0, -6.0]], atol=1e-4)
    own = helper(OwnLogits)
    own.find_logits(own.build_model())
    assert own.has_own_logits and not one.has_own_logits
    np.testing.assert_array_equal(own.logits(probabilities), 2.0 * probabilities)


class Collecting(Tiny):
    def dump_n_eval(self, outputs, action, labels=None):
        return {}


def test_what_metrics_a_helper_has():
    plain, collecting = helper(), helper(Collecting, metric="auc", metric_mode="max")
    assert (plain.collects_outputs, plain.collects_labels) == (False, False)
    assert (collecting.collects_outputs, collecting.collects_labels) == (True, True)
    assert not plain.build_metrics() and plain.dump_n_eval(None, "eval") == {}
    assert plain.deciding_metric == (None, None)
    assert collecting.deciding_metric == ("auc", "max")


def test_calibration_sees_the_same_images_in_every_worker():
    whole = [images.numpy() for images, _ in helper().build_dataset_calibration(8)]
    other = helper()
    other.worker = (1, 2)
    found = [images.numpy() for images, _ in other.build_dataset_calibration(8)]
    np.testing.assert_array_equal(np.concatenate(found), np.concatenate(whole))
    assert other.worker == (1, 2)
    with pytest.raises(ValueError, match="x"), other.undivided():
        assert other.worker == (0, 1)
        raise ValueError("x")
    assert other.worker == (1, 2)


def test_the_usual_loss_scores_classes_and_one_of_the_users_may_not():
    class Own(Tiny):
        def calc_loss(self, labels, outputs, trainable_vars):
            return (outputs**2).sum(), {}

    assert helper().scores_classes
    assert not helper(Own).scores_classes
