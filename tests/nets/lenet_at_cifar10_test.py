from nets.lenet_at_cifar10 import ModelHelper


def test_network_and_defaults():
    helper = ModelHelper()
    model = helper.build_model()
    assert model.count_params() == 466_122
    assert model.input_shape[1:] == (32, 32, 3)
    assert model.output_shape == (None, 10)
    assert (model.name, helper.dataset_name) == ("lenet", "cifar10")
    assert (helper.config.lrn_rate_init, helper.config.loss_w_dcy) == (0.01, 5e-4)
