import keras

from nets.convnet_at_digits import ModelHelper


def test_trains_to_97_percent():
    keras.utils.set_random_seed(0)
    helper = ModelHelper(seed=0)
    model = helper.build_model()
    schedule, num_steps = helper.setup_lrn_rate(nb_epochs=12)
    model.compile(
        keras.optimizers.SGD(schedule, helper.config.momentum),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(helper.build_dataset_train(), steps_per_epoch=num_steps, verbose=0)
    assert model.evaluate(helper.build_dataset_eval(), verbose=0)[1] >= 0.97
