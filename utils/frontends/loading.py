"""A network of any framework as a Keras model, for those who do not care which it was."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from utils.errors import InputError
from utils.files import NETWORK_ENDINGS, load_keras_model
from utils.frontends import check_network_path, find_frontend
from utils.frontends.convert import Converted, convert

if TYPE_CHECKING:
    import keras


def load_network(
    path: str,
    *,
    input_shape: str | None = None,
    weights: str | None = None,
    allow_unsafe: bool = False,
) -> tuple[keras.Model, tuple[str, ...]]:
    """Load a network, whatever wrote it, and compare it with its source on a random sample.

    Args:
        path: a file, a SavedModel's folder, or a PyTorch module as `net.py:make_net`.
        input_shape: sizes that the file leaves open, see `utils.frontends.shapes`.
        weights: PyTorch's state dict, MXNet's .params.
        allow_unsafe: also load Python code in Keras files.

    Returns:
        The model, and what there is to say of the conversion.

    Raises:
        InputError: if the file is refused, something is given that it does not take, or the source
            framework computes something else; a `ConversionError` if a node cannot be converted.
    """
    framework = "keras" if path.endswith(NETWORK_ENDINGS) else check_network_path("model", path)
    options = reader_options(framework, input_shape=input_shape, weights=weights)
    if framework == "keras" and not options:  # packed files and Sequential models, as they are
        return load_keras_model(path, allow_unsafe), ()
    converted = convert(framework, path, **options)
    return converted.model, (*converted.notes, *_compared(framework, path, converted, options))


def _compared(
    framework: str, path: str, converted: Converted, options: Mapping[str, Any]
) -> tuple[str, ...]:
    """Compare a conversion with what the source framework computes.

    Returns:
        A note that it could not be compared; none if it was.

    Raises:
        InputError: if it is farther away than `parity.TOLERANCE`.
    """
    from utils.frontends import parity
    from utils.frontends.running import source_run
    from utils.graph.keras_reading import first_line

    try:
        inputs = parity.random_inputs(converted, seed=0)
        run = source_run(framework, path, **options)
        if run is None:
            return (f"The conversion was not compared: {framework} networks cannot be run here.",)
        wanted = run(inputs)
        parity.check_finite(wanted, framework)
    except Exception as error:  # what the source's own runtime does not take may convert well
        reason = first_line(error).rstrip(".")
        return (f"The conversion was not compared with {framework}: {reason}.",)
    found = parity.worst(parity.outputs(converted, inputs), wanted)
    if not found <= parity.TOLERANCE:
        raise InputError(
            f"{path}: the converted network is {found:.2e} away from {framework} on random inputs, "
            f"at most {parity.TOLERANCE:g} is accepted. Export the network with simpler operators, "
            "and please report it."
        )
    return ()


def reader_options(framework: str, **given: Any) -> dict[str, Any]:
    """Gather what a framework's reader takes beside the model.

    Args:
        framework: its name.
        **given: flags' values; None for what was not given.

    Returns:
        What was given.

    Raises:
        InputError: for something that this reader does not take.
    """
    found = {name: value for name, value in given.items() if value is not None}
    taken = inspect.signature(find_frontend(framework).load()).parameters
    foreign = [name for name in found if name not in taken]
    if foreign:
        raise InputError(
            f"`{foreign[0]}` does not apply to {framework} networks. Received: "
            f"{found[foreign[0]]}. Leave it out."
        )
    return found
