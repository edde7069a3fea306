import keras

from nets.backbones import dscnn
from utils.graph import complexity, from_keras


def build(shape, **options):
    inputs = keras.Input(shape)
    return keras.Model(inputs, dscnn.build(inputs, 12, **options))


def test_parameters_of_the_papers_network():
    """DS-CNN-S of table 5: 64 channels, 10 x 4 then 3 x 3; 12 classes. By hand, norms of 4."""
    model = build((49, 10, 1))
    expected = 10 * 4 * 64 + 4 * (9 * 64 + 64 * 64) + 9 * 4 * 64 + 64 * 12 + 12
    assert model.count_params() == expected


def test_maps_are_of_the_papers_size():
    model = build((51, 40, 1))
    assert model.get_layer("conv").output.shape == (None, 26, 20, 64)
    assert model.get_layer("block4_pw").output.shape == (None, 13, 10, 64)
    flops = complexity(from_keras(model)).flops
    assert flops == 26 * 20 * 40 * 64 + 4 * 130 * (9 * 64 + 64 * 64) + 64 * 12


def test_width_and_depth():
    model = build((51, 40, 1), width=8, num_blocks=2)
    names = [layer.name for layer in model.layers if layer.name.endswith("_pw")]
    assert names == ["block1_pw", "block2_pw"]
    assert model.get_layer("block2_pw").filters == 8
