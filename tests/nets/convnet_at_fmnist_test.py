from nets.convnet_at_fmnist import ModelHelper


def test_network_and_defaults():
    helper = ModelHelper()
    model = helper.build_model()
    assert model.count_params() == 3_274_634
    assert model.input_shape[1:] == (28, 28, 1)
    assert model.output_shape == (None, 10)
    assert (model.name, helper.dataset_name) == ("convnet", "fmnist")
    assert (helper.config.lrn_rate_init, helper.config.loss_w_dcy) == (0.1, 3e-4)
