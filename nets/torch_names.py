"""Translate arrays of a PyTorch state dict into Keras' names and layouts."""

from collections.abc import Callable, Mapping

import numpy as np

_BATCH_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


def translate(
    arrays: Mapping[str, np.ndarray], layer_name: Callable[[str], str]
) -> dict[str, np.ndarray]:
    """Rename and transpose the arrays of a state dict.

    Convolution kernels go from OIHW to HWIO, dense kernels from [out, in] to [in, out]; a module
    with `running_mean` is a batch norm. `num_batches_tracked` is left out, and so is the prefix
    `module.` of data-parallel training.

    Args:
        arrays: name -> array, e.g. `layer1.0.conv1.weight`.
        layer_name: gives the Keras layer of a module, e.g. of `layer1.0.conv1`.

    Returns:
        Variable path -> array, e.g. `stage1_block0_conv1/kernel`; arrays that are not from
        PyTorch (no `running_mean` among them) as they are.

    Example:
        >>> dense = {"linear.weight": np.zeros((2, 3)), "bn.running_mean": np.zeros(2)}
        >>> {k: v.shape for k, v in translate(dense, str.upper).items()}
        {'LINEAR/kernel': (3, 2), 'BN/moving_mean': (2,)}
    """
    arrays = {name.removeprefix("module."): array for name, array in arrays.items()}
    batch_norms = {
        name.removesuffix(".running_mean") for name in arrays if name.endswith(".running_mean")
    }
    if not batch_norms:
        return arrays
    result = {}
    for name, array in arrays.items():
        module, _, kind = name.rpartition(".")
        if kind == "num_batches_tracked":
            continue
        if module in batch_norms:
            variable = _BATCH_NORM.get(kind, kind)
        else:
            variable = "kernel" if kind == "weight" else kind
        axes = (2, 3, 1, 0) if array.ndim == 4 else tuple(reversed(range(array.ndim)))
        result[f"{layer_name(module)}/{variable}"] = array.transpose(axes)
    return result
