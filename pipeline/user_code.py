"""The user's network, data and loss: tried on a batch before anything is written.

What goes wrong in there, then or later, becomes one line that says in which part; `--debug` shows
the traceback.
"""

import contextlib
import itertools
import math
import re
from collections.abc import Iterator

import keras
import tensorflow as tf

from nets.abstract_model_helper import AbstractModelHelper
from utils.errors import InputError
from utils.training import evaluate


@contextlib.contextmanager
def blaming(part: str) -> Iterator[None]:
    """Turn any exception inside into an `InputError` that names the part it comes from."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # whatever the user's code raises
        raise InputError(f"{part} failed: {essence(error)} (traceback: --debug)") from error


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn what TensorFlow raises while network and data run into an `InputError`."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise InputError(
            f"memory ran out: {essence(error)} Lower --batch_size or --batch_size_eval."
        ) from error
    except tf.errors.OpError as error:
        raise InputError(
            f"the network, its loss or its data failed while it ran: {essence(error)} Check the "
            "data that the ModelHelper gives (traceback: --debug)."
        ) from error


def essence(error: Exception) -> str:
    """Find the line of an exception's text that says what happened.

    An error inside a compiled function carries a stack of calls; its last line but one tells.

    Example:
        >>> essence(KeyError("colour"))
        "KeyError: 'colour'."
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    found = lines[0] if lines else "no message"
    for line, after in itertools.pairwise(lines):
        if after.startswith("[[{{node"):
            found = line
    found = re.sub(r"\{\{.*?\}\}|\[Op:.*?\]", "", found).strip().rstrip(".")
    return f"{type(error).__name__}: {found}."


def build_network(helper: AbstractModelHelper) -> keras.Model:
    """Build a helper's network with fresh weights.

    Raises:
        InputError: if the helper's data are no pairs, or its code fails.
    """
    name = type(helper).__name__
    for builder in ("build_dataset_train", "build_dataset_eval"):
        with blaming(f"{name}.{builder}"):
            spec = getattr(helper, builder)().element_spec
        if not isinstance(spec, tuple) or len(spec) != 2:
            raise InputError(
                f"{name}.{builder} must give pairs (images, labels). Received elements of: {spec}."
            )
    with blaming(f"{name}.forward"):
        return helper.build_model()


def try_batches(helper: AbstractModelHelper, model: keras.Model) -> None:
    """Run a batch of the training and of the test data through network and loss.

    Raises:
        InputError: if there is no batch, anything fails on it, or the loss is not finite.
    """
    name = type(helper).__name__
    for builder in ("build_dataset_train", "build_dataset_eval"):
        with blaming(f"A batch of {name}.{builder} in network and calc_loss"):
            scores = evaluate(model, getattr(helper, builder)().take(1), helper)
        if not math.isfinite(scores["loss"]):
            raise InputError(
                f"the loss of the network {model.name!r} on the first batch of {name}.{builder} is "
                f"{scores['loss']}. Give finite images and a network with finite weights."
            )
