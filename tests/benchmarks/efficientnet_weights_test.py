"""PyTorch's weights find their places: each once, none left."""

import keras
import numpy as np

from benchmarks.efficientnet_weights import assign
from nets.backbones import efficientnet_lite


class _Arrays(dict):
    """Makes what is asked for, in PyTorch's order of axes, and remembers it."""

    def __missing__(self, name: str) -> np.ndarray:
        self[name] = np.full(self.shapes.pop(name), len(self), np.float32)
        return self[name]


def _torch_shapes() -> dict[str, tuple[int, ...]]:
    """Shapes that the weights have there, from the table of the paper alone."""
    shapes: dict[str, tuple[int, ...]] = {}

    def conv(name: str, norm: str, *shape: int) -> None:
        shapes[f"{name}.weight"] = shape
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{norm}.{part}"] = shape[:1]

    conv("_conv_stem", "_bn0", 32, 3, 3, 3)
    number, width = 0, 32
    rows = ((1, 3, 16, 1), (6, 3, 24, 2), (6, 5, 40, 2), (6, 3, 80, 3), (6, 5, 112, 3))
    for factor, size, new, count in (*rows, (6, 5, 192, 4), (6, 3, 320, 1)):
        for _ in range(count):
            block, wide = f"_blocks.{number}", factor * width
            if factor > 1:
                conv(f"{block}._expand_conv", f"{block}._bn0", wide, width, 1, 1)
            conv(f"{block}._depthwise_conv", f"{block}._bn1", wide, 1, size, size)
            conv(f"{block}._project_conv", f"{block}._bn2", new, wide, 1, 1)
            number, width = number + 1, new
    conv("_conv_head", "_bn1", 1280, 320, 1, 1)
    return {**shapes, "_fc.weight": (1000, 1280), "_fc.bias": (1000,)}


def test_every_weight_has_one_place() -> None:
    inputs = keras.Input(efficientnet_lite.INPUT_SHAPE)
    model = keras.Model(inputs, efficientnet_lite.build(inputs))
    arrays = _Arrays()
    arrays.shapes = _torch_shapes()
    assign(model, arrays)  # a wrong shape is refused by Keras
    assert not arrays.shapes
    trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trained == 4_652_008
    strides = [layer.strides[0] for layer in model.layers if hasattr(layer, "strides")]
    assert np.prod(strides) == 32
