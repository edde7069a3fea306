"""PyTorch: a module from the user's file, a state dict, and its export through ONNX.

The file is the user's own code and runs; a state dict is data and is never unpickled as anything
else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import os
import pathlib
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from utils.archives import open_archive
from utils.causes import explanation
from utils.errors import InputError
from utils.export.quiet import quiet_native
from utils.folders import passing_folder
from utils.frontends.convert import Converted
from utils.frontends.onnx.reader import convert_network, read_network
from utils.frontends.shapes import Shapes, parse_shapes
from utils.frontends.source import SourceNetwork
from utils.frontends.torch.naming import with_module_names
from utils.graph.keras_reading import first_line
from utils.user_file import load_user_file

if TYPE_CHECKING:
    import torch

_OPEN_BATCH = 2  # stands for a batch that stays open
_OUTER_KEYS = ("state_dict", "model_state_dict", "model", "net")
_PREFIXES = ("module.", "_orig_mod.")
_NUM_SHOWN = 5


def convert(path: str, weights: str | None = None, input_shape: Shapes = None) -> Converted:
    """Build the Keras network of a PyTorch module.

    Args:
        path: `file.py:name` of a function without arguments that returns a module, of a module's
            class, or of a module.
        weights: a state dict (`.pt`, `.pth`, `.th`) for it; None keeps what the module has.
        input_shape: sizes of the inputs, batch included, in the order of `forward`'s arguments;
            see `utils.frontends.shapes`.

    Returns:
        The network.

    Raises:
        InputError: if module, state dict or shapes do not fit or cannot be exported; a
            `ConversionError` if nodes cannot be converted.
    """
    return convert_module(load_module(path, weights), input_shape, pathlib.Path(path).stem)


def convert_module(module: torch.nn.Module, input_shape: Shapes, name: str) -> Converted:
    """Build the Keras network of a module that is there.

    A batch of 1 could not be told from other axes of size 1 in the exported file: it is written
    with a batch of 2, and only if the network then cannot do without a fixed batch with the user's.

    Args:
        module: ready for inference.
        input_shape: see `convert`.
        name: for the network.
    """
    sizes = _sizes(input_shape)
    doubled = [(max(size[0], _OPEN_BATCH), *size[1:]) if size else size for size in sizes]
    if doubled == sizes:
        return convert_network(exported(module, sizes, name))
    with contextlib.suppress(InputError):
        converted = convert_network(exported(module, doubled, name))
        if converted.model.inputs[0].shape[0] is None:
            return converted
    return convert_network(exported(module, sizes, name))


def load_module(path: str, weights: str | None = None) -> torch.nn.Module:
    """Make a module of the user's, with weights, ready for inference.

    Args:
        path: see `convert`.
        weights: see `convert`.

    Raises:
        InputError: if there is no such module or the weights do not fit.
    """
    file, _, name = path.rpartition(":")
    if not file or not file.endswith(".py"):
        raise InputError(
            f"PyTorch networks are given by the Python file that makes them: `net.py:make_net`. "
            f"Received: {path!r}. Files of weights (.pt, .pth, .th) belong to --weights."
        )
    module = _made(load_user_file(pathlib.Path(file), "PyTorch network"), file, name)
    if weights is not None:
        load_weights(module, pathlib.Path(weights))
    return module.eval()


def _made(user: Any, file: str, name: str) -> torch.nn.Module:
    import torch

    if not hasattr(user, name):
        names = [
            key
            for key, value in vars(user).items()
            if not key.startswith("_") and getattr(value, "__module__", "") == user.__name__
        ]
        raise InputError(f"{file} has no {name!r}; it has: {', '.join(names) or 'nothing'}.")
    made = getattr(user, name)
    if not isinstance(made, torch.nn.Module):
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(
                    0
                )  # a module without a state dict has the same weights every time
                made = made()
        except Exception as error:  # the user's code
            raise InputError(f"{file}: {name}() failed: {explanation(error)}") from error
    if not isinstance(made, torch.nn.Module):
        raise InputError(
            f"{file}: {name} must be a torch.nn.Module, its class, or a function that returns one. "
            f"Received: {type(made).__name__}."
        )
    return made


def load_weights(module: torch.nn.Module, path: pathlib.Path) -> None:
    """Load a state dict into a module.

    Raises:
        InputError: if the file is refused or does not fit.
    """
    found = read_state_dict(path)
    own = module.state_dict()
    missing = [key for key in own if key not in found and not key.endswith("num_batches_tracked")]
    foreign = [key for key in found if key not in own]
    differing = [
        f"{key} {tuple(found[key].shape)} for {tuple(own[key].shape)}"
        for key in own
        if key in found and found[key].shape != own[key].shape
    ]
    for what, names in (
        ("lacks", missing),
        ("has weights that the module has not", foreign),
        ("has other shapes", differing),
    ):
        if names:
            shown = ", ".join(names[:_NUM_SHOWN]) + (", …" if len(names) > _NUM_SHOWN else "")
            raise InputError(f"{path}: the state dict does not fit the module, it {what}: {shown}.")
    module.load_state_dict(found, strict=False)


def read_state_dict(path: pathlib.Path) -> dict[str, torch.Tensor]:
    """Read a state dict; no code of the file's runs.

    Args:
        path: the file; a dict around the state dict and a prefix `module.` are taken off.

    Returns:
        Tensors by name.

    Raises:
        InputError: if the file is missing, damaged, or holds a pickled module.
    """
    import torch

    if not path.is_file():
        raise InputError(f"{path}: no such file. Expected a state dict (.pt, .pth, .th).")
    try:
        is_zip = zipfile.is_zipfile(path)
    except zipfile.BadZipFile as error:  # its end says that it lies on several disks
        raise InputError(f"{path}: is damaged ({error}). Copy or create it anew.") from error
    if is_zip:
        _check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a foreign file makes torch raise
        text = str(error)
        if "weights_only" in text or "Unsupported" in text or "GLOBAL" in text:
            raise InputError(
                f"{path}: holds Python objects, perhaps a whole pickled module, which may run any "
                "code: refused. Load it where you trust it and save its weights alone: "
                "torch.save(net.state_dict(), 'net.pth')."
            ) from error
        raise InputError(
            f"{path}: is damaged or no state dict ({first_line(error)}). Copy or create it anew."
        ) from error
    return _unwrapped(loaded, path)


def _check_archive(path: pathlib.Path) -> None:
    """Refuse an archive that unpacks to too much, or holds a compiled module."""
    with open_archive(path, "state dict") as archive:
        if any("/code/" in name for name in archive.namelist()):
            raise InputError(
                f"{path}: is a TorchScript module, which holds code. Save the weights of the "
                "module it was made from: torch.save(net.state_dict(), 'net.pth')."
            )


def _unwrapped(loaded: Any, path: pathlib.Path) -> dict[str, torch.Tensor]:
    import torch

    for key in _OUTER_KEYS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not loaded:
        raise InputError(f"{path}: holds no state dict, but a {type(loaded).__name__}.")
    strange = [key for key, value in loaded.items() if not isinstance(value, torch.Tensor)]
    if strange:
        raise InputError(f"{path}: {strange[0]!r} of its state dict is no tensor.")
    found = {str(key): value for key, value in loaded.items()}
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in found):
            found = {key.removeprefix(prefix): value for key, value in found.items()}
    return found


def exported(module: torch.nn.Module, sizes: Sequence[tuple[int, ...]], name: str) -> SourceNetwork:
    """Export a module to ONNX and read that.

    Args:
        module: ready for inference.
        sizes: shapes of its inputs.
        name: for the network.

    Returns:
        The network; its nodes carry the names of the modules they come from.

    Raises:
        InputError: if it cannot be exported.
    """
    inputs = example_inputs(module, sizes)
    with passing_folder() as folder:
        path = os.path.join(folder, "network.onnx")
        _export(module, inputs, path)
        network = with_module_names(read_network(path), path)
    return dataclasses.replace(network, name=re.sub(r"\W+", "_", name) or "network")


def example_inputs(
    module: torch.nn.Module, sizes: Sequence[tuple[int, ...]]
) -> tuple[torch.Tensor, ...]:
    """Random inputs of the given shapes: floating point, or whole numbers if the module wants them.

    Raises:
        InputError: if the module does not run on them.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    floats = tuple(torch.randn(size, generator=generator) for size in sizes)
    try:
        _run(module, floats)
    except Exception as error:  # the user's code
        wholes = tuple(torch.zeros(size, dtype=torch.int64) for size in sizes)
        try:
            _run(module, wholes)
        except Exception:
            raise InputError(
                f"the module does not run on inputs of the shapes {', '.join(map(str, sizes))}: "
                f"{explanation(error)} Check --input_shape."
            ) from error
        return wholes
    return floats


def _run(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> Any:
    import torch

    with torch.no_grad():
        return module(*inputs)


def _sizes(shapes: Shapes) -> list[tuple[int, ...]]:
    if not shapes:
        raise InputError("PyTorch networks need --input_shape, e.g. --input_shape=1,3,224,224.")
    if isinstance(shapes, str):
        shapes = parse_shapes(shapes)
    given = list(shapes.values()) if isinstance(shapes, Mapping) else [tuple(shapes)]
    found = []
    for shape in given:
        if None in shape[1:]:
            raise InputError(f"only the batch of a PyTorch input may be open. Received: {shape}.")
        found.append(tuple(_OPEN_BATCH if size is None else size for size in shape))
    return found


def _export(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], path: str) -> None:
    """Write the ONNX file, with batch normalization left as it is."""
    import torch

    with _quiet():
        try:
            # Optimization would fold batch normalization into the convolutions in front of it.
            program = torch.onnx.export(module, inputs, dynamo=True, optimize=False, verbose=False)
            if program is None:
                raise InputError("the exporter returned nothing")
            program.save(path, external_data=False)
            return
        except Exception as error:  # of exporter or module
            first = error
        try:
            torch.onnx.export(
                module,
                inputs,
                path,
                dynamo=False,
                training=torch.onnx.TrainingMode.PRESERVE,
                do_constant_folding=False,
            )
        except Exception:
            raise InputError(
                f"PyTorch cannot export the module to ONNX: {_reason(first)}. Write that part of "
                "the module with other operators."
            ) from first


def _reason(error: Exception) -> str:
    """What an exporter's long message is about."""
    found = re.search(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", str(error))
    return f"it knows no counterpart of {found[1]}" if found else first_line(error).rstrip(".")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporter prints and logs off the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            quiet_native(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
