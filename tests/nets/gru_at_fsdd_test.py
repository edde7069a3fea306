import keras

from datasets.fsdd_dataset import FsddDataConfig
from nets.gru_at_fsdd import ModelHelper


def test_learns_the_digits(real_file):
    """Two epochs of the twenty: well above the 10 % of guessing."""
    keras.utils.set_random_seed(0)
    data = FsddDataConfig(data_dir_local=str(real_file("fsdd")))
    helper = ModelHelper(ModelHelper.config_class(data=data), seed=0)
    model = helper.build_model()
    model.compile(
        helper.build_optimizer(helper.config.lrn_rate_init),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(helper.build_dataset_train(), steps_per_epoch=42, epochs=2, verbose=0)
    assert history.history["accuracy"][-1] >= 0.3


def test_optimizer_is_adam_with_clipped_gradients():
    helper = ModelHelper()
    optimizer = helper.build_optimizer(helper.config.lrn_rate_init)
    assert isinstance(optimizer, keras.optimizers.Adam)
    assert float(optimizer.learning_rate) == keras.ops.cast(0.003, "float32")
    assert optimizer.clipnorm == 1.0


def test_network():
    model = ModelHelper().build_model()
    assert model.input_shape == (None, 51, 40, 1)
    assert [layer.units for layer in model.layers if isinstance(layer, keras.layers.GRU)] == [
        96
    ] * 2
    assert (model.name, ModelHelper().dataset_name) == ("gru", "fsdd")
