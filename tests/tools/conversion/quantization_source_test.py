"""What the commands begin with; as a whole in quantize_model_test.py."""

from tools.conversion.quantization_source import helper_configs


def test_a_helper_brings_its_flags() -> None:
    (config,) = helper_configs(["--model_helper=resnet_at_cifar10", "--seed=1"])
    assert config.__name__ == "ResnetAtCifar10Config"
    assert not helper_configs(["--seed=1"])
