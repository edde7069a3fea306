import keras

from datasets.config import DataConfig
from nets.lenet5_at_mnist import ModelHelper


def test_network_and_defaults():
    helper = ModelHelper()
    model = helper.build_model()
    assert model.count_params() == 431_080
    assert model.input_shape[1:] == (28, 28, 1)
    assert model.output_shape == (None, 10)
    assert (model.name, helper.dataset_name) == ("lenet5", "mnist")
    assert (helper.config.lrn_rate_init, helper.config.loss_w_dcy) == (0.02, 5e-4)


def test_learns_real_digits(real_file):
    keras.utils.set_random_seed(0)
    data = DataConfig(data_dir_local=str(real_file("mnist")))
    helper = ModelHelper(ModelHelper.config_class(data=data))
    model = helper.build_model()
    schedule, _ = helper.setup_lrn_rate()
    model.compile(
        keras.optimizers.SGD(schedule, helper.config.momentum),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(helper.build_dataset_train(), steps_per_epoch=150, verbose=0)
    assert model.evaluate(helper.build_dataset_eval(), verbose=0)[1] >= 0.96
