"""The user's network, data and loss.

What goes wrong in there, then or later, becomes one line that says in which part and in which line
of the user's file; `--debug` shows the traceback.
"""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

from nets.abstract_model_helper import AbstractModelHelper
from utils.atomic import is_full
from utils.causes import blaming, essence, explanation, user_place
from utils.command import DISK_FULL
from utils.errors import InputError


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn what the user's network, data or loss raise while they run into an `InputError`."""
    try:
        yield
    except InputError:
        raise
    except tf.errors.ResourceExhaustedError as error:
        if is_full(error):
            raise InputError(DISK_FULL) from error
        raise InputError(
            f"memory ran out: {essence(error)} Lower --batch_size or --batch_size_eval."
        ) from error
    except Exception as error:
        if is_full(error):
            raise InputError(DISK_FULL) from error
        if not isinstance(error, tf.errors.OpError) and user_place(error) is None:
            raise  # a mistake of ours
        raise InputError(
            "the network, its loss or its data failed while it ran: "
            f"{explanation(error)}. Check the data that the ModelHelper gives."
        ) from error


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
