"""Export of a PyTorch module to ONNX."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from utils.causes import essence, explanation
from utils.errors import InputError
from utils.export.quiet import quiet_native

if TYPE_CHECKING:
    import torch


def export(module: torch.nn.Module, sizes: Sequence[Sequence[int]], path: str) -> None:
    """Write a module as ONNX, with batch normalization left as it is.

    Args:
        module: ready for inference.
        sizes: shapes of its inputs.
        path: of the file to write.

    Raises:
        InputError: if it does not run on inputs of these shapes, or cannot be exported.
    """
    _write(module, example_inputs(module, sizes), path)


def example_inputs(
    module: torch.nn.Module, sizes: Sequence[Sequence[int]]
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
            shapes = ", ".join(str(tuple(size)) for size in sizes)
            raise InputError(
                f"the module does not run on inputs of the shapes {shapes}: "
                f"{explanation(error)} Check --input_shape."
            ) from error
        return wholes
    return floats


def _run(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> Any:
    import torch

    with torch.no_grad():
        return module(*inputs)


def _write(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], path: str) -> None:
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
    return f"it knows no counterpart of {found[1]}" if found else essence(error).rstrip(".")


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
