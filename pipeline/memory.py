"""Refuses, before training, numbers of samples whose arrays no memory of this machine could hold.

Only what is certain counts: the images that a learner keeps, and the outputs of one layer, the
widest, at the positions that it takes from them. A run that passes may still need more.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

import keras
import tensorflow as tf

from nets.abstract_model_helper import AbstractModelHelper
from pipeline.plan import Plan
from utils import flags
from utils.errors import InputError

_IMAGES = ("nb_smpls", "nb_smpls_calib")  # fields of configs, whatever their prefix
_POSITIONS = "nb_crops_per_smpl"


def refuse_too_many_samples(plan: Plan, helper: AbstractModelHelper, model: keras.Model) -> None:
    """Compare what samples take with the machine's memory, where both are known.

    Args:
        plan: the checked plan.
        helper: counts the training images: of more than there are, all are taken.
        model: the network that a run begins with.

    Raises:
        InputError: names the flag, what it takes, what there is, and what would fit.
    """
    memory = machine_bytes()
    try:
        most = helper.nb_smpls_train
    except InputError:  # they cannot be counted: the flag alone does not tell how many there are
        return
    if memory is None:
        return
    for config in (plan.run, *(stage.config for stage in plan.stages)):
        for name, value, taken in _amounts(config, model):
            count = min(value, most)
            if count * taken > memory:
                raise InputError(
                    f"`{name}`: {count:,} samples take at least {count * taken / 1e9:,.1f} GB, "
                    f"this machine has {memory / 1e9:,.1f} GB of memory. Received: {value}. At "
                    f"most {memory // taken:,} could fit."
                )


def machine_bytes() -> int | None:
    """Give the machine's memory in bytes; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _amounts(config: object, model: keras.Model) -> Iterator[tuple[str, int, int]]:
    """Give (flag, number of samples, bytes of one) of a config."""
    values = flags.flag_values(config)
    by_field = {spec.path[-1]: spec.name for spec in flags.describe(type(config))}
    positions = values[by_field[_POSITIONS]] if _POSITIONS in by_field else 0
    rows = positions * _widest(model) * 4 if positions else 0
    for field in _IMAGES:
        if field in by_field:
            name = by_field[field]
            yield name, values[name], _image_bytes(model) + rows


def _image_bytes(model: keras.Model) -> int:
    return sum(
        math.prod(size or 1 for size in tensor.shape) * tf.as_dtype(tensor.dtype).size
        for tensor in getattr(model, "inputs", None) or ()
    )


def _widest(model: keras.Model) -> int:
    """Find the most output channels of a convolution; 0 without one."""
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Conv2D)]
    return max((layer.filters for layer in layers), default=0)
