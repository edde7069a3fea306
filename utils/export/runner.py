"""Run `.tflite` files on float arrays, whatever numbers they compute in."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from utils.errors import InputError
from utils.export.flatbuffer import FileGraph, read_graph
from utils.export.quiet import quiet_native

#: One array for one input; several inputs as a list in the file's order or a dict by name.
Inputs = np.ndarray | Sequence[np.ndarray] | Mapping[str, np.ndarray]


def read_tflite(model: str | os.PathLike[str] | bytes) -> bytes:
    """Read a `.tflite` file; bytes are passed through.

    Raises:
        InputError: if there is no such file.
    """
    if isinstance(model, bytes):
        return model
    try:
        return pathlib.Path(model).read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read the .tflite file {str(model)!r}: {error.strerror}. Give the path of an "
            "existing file; tools/conversion/export_tflite.py writes one from a .keras file."
        ) from error


class TFLiteRunner:
    """A `.tflite` file as a function from float batches to float outputs.

    Inputs are quantized and outputs dequantized with the scales of the file. A file computes the
    batch size it was written with (1, from Flowpress); larger batches are fed one part after the
    other: measured on ResNet-20, resizing the file's batch to 50 is no faster on one thread, and a
    file that reshapes to a fixed size does not allow it.

    Args:
        model: path or content of a `.tflite` file.
        num_threads: threads that one call may use.
        batch_size: resize the file to this batch size; None keeps its own.
        keep_tensors: keep every intermediate tensor for `tensor`; slower.

    Attributes:
        graph: what the file contains.
        batch_size: samples per invocation.

    Raises:
        InputError: if it is no `.tflite` file, needs operators that are not built in, or has
            inputs without a fixed size.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes,
        num_threads: int = 1,
        *,
        batch_size: int | None = None,
        keep_tensors: bool = False,
    ) -> None:
        self._name = "the .tflite file" if isinstance(model, bytes) else str(model)
        content = read_tflite(model)
        self._interpreter = self._load(content, num_threads, keep_tensors)
        self.graph: FileGraph = read_graph(content)
        self._inputs = self._details(self._interpreter.get_input_details(), self.graph.inputs)
        self._check_fixed_size()
        if batch_size is not None:
            self._resize(batch_size)
        self._outputs = self._details(self._interpreter.get_output_details(), self.graph.outputs)
        self.batch_size = int(next(iter(self._inputs.values()))["shape"][0])

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every input by name, the batch first."""
        return {name: tuple(map(int, item["shape"])) for name, item in self._inputs.items()}

    def float_operators(self) -> tuple[str, ...]:
        """Name the operators of a file of integers that compute in float; empty for others."""
        return self.graph.float_operators() if self.graph.kind() in ("int8", "int16x8") else ()

    def __call__(self, inputs: Inputs) -> np.ndarray | list[np.ndarray]:
        """Run a batch of any size.

        Args:
            inputs: float arrays [batch, …]; one, or several by name or in the file's order.

        Returns:
            The float output [batch, …], or a list of them in the order of the Keras outputs.

        Raises:
            InputError: if number, names or shapes of the inputs are not those of the file.
        """
        arrays = arrange(inputs, self.input_shapes, self._name)
        num_samples = len(next(iter(arrays.values())))
        parts = []
        for start in range(0, num_samples, self.batch_size):
            self._set(
                {name: array[start : start + self.batch_size] for name, array in arrays.items()}
            )
            self._invoke()
            parts.append([self._get(item) for item in self._outputs.values()])
        outputs = [np.concatenate(part)[:num_samples] for part in zip(*parts, strict=True)]
        return outputs[0] if len(outputs) == 1 else outputs

    def bind(self, inputs: Inputs) -> Callable[[], None]:
        """Set the inputs once and give back the bare call, for measuring time.

        Args:
            inputs: one batch of the file's own size, see `__call__`.

        Returns:
            A function that runs the file on them.
        """
        self._set(arrange(inputs, self.input_shapes, self._name))
        return self._invoke

    def tensor(self, index: int) -> np.ndarray:
        """Give a tensor after the last call, dequantized (only with `keep_tensors`)."""
        info = self.graph.tensors[index]
        return dequantize(self._interpreter.get_tensor(index), info.scale, info.zero_point)

    def _load(self, content: bytes, num_threads: int, keep_tensors: bool) -> Interpreter:
        resolver = (
            OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # XNNPACK hides what it fuses
            if keep_tensors
            else OpResolverType.AUTO
        )
        try:
            with quiet_native():
                interpreter = Interpreter(
                    model_content=content,
                    num_threads=num_threads,
                    experimental_op_resolver_type=resolver,
                    experimental_preserve_all_tensors=keep_tensors,
                )
                interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError(
                f"{self._name} cannot be run: {_first_line(error)}. Write it anew, for example "
                "with tools/conversion/export_tflite.py."
            ) from error
        return interpreter

    def _details(
        self, details: list[dict[str, Any]], names: Mapping[str, int]
    ) -> dict[str, dict[str, Any]]:
        by_index = {item["index"]: item for item in details}
        return {name: by_index[index] for name, index in names.items()}

    def _check_fixed_size(self) -> None:
        for name, item in self._inputs.items():
            signature = tuple(map(int, item["shape_signature"]))
            if not signature or -1 in signature[1:]:
                raise InputError(
                    f"{self._name}: input {name!r} has no fixed size {signature}. Write the file "
                    "from a model whose input shape is fixed."
                )

    def _resize(self, batch_size: int) -> None:
        try:
            with quiet_native():
                for item in self._inputs.values():
                    shape = (batch_size, *item["shape"][1:])
                    self._interpreter.resize_tensor_input(item["index"], shape)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError(
                f"{self._name} does not run with batch size {batch_size}: {_first_line(error)}. "
                "It was written for a fixed batch size; use batch size 1."
            ) from error
        self._inputs = self._details(self._interpreter.get_input_details(), self.graph.inputs)

    def _set(self, arrays: Mapping[str, np.ndarray]) -> None:
        for name, item in self._inputs.items():
            values = quantize(arrays[name], item["dtype"], item["quantization_parameters"])
            missing = self.batch_size - len(values)
            if missing:  # the last part of a batch: fill up, the outputs are cut off again
                values = np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])
            self._interpreter.set_tensor(item["index"], np.ascontiguousarray(values))

    def _invoke(self) -> None:
        try:
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{self._name} fails while running: {_first_line(error)}.") from error

    def _get(self, item: Mapping[str, Any]) -> np.ndarray:
        parameters = item["quantization_parameters"]
        values = self._interpreter.get_tensor(item["index"])
        return dequantize(values, parameters["scales"], parameters["zero_points"])


def timed_call(
    model: str | os.PathLike[str] | bytes,
    *,
    num_threads: int = 1,
    batch_size: int | None = None,
    inputs: Inputs | None = None,
) -> Callable[[], None]:
    """Open a file and bind it to inputs: the call to measure.

    Args:
        model: path or content of a `.tflite` file.
        num_threads: threads that one call may use.
        batch_size: resize the file to this batch size; None keeps its own.
        inputs: one batch; without it random values in [0, 1), which as integers are zeros, valid
            wherever an index is meant.

    Returns:
        A function that runs the file once.

    Raises:
        InputError: see `TFLiteRunner`.
    """
    runner = TFLiteRunner(model, num_threads, batch_size=batch_size)
    if inputs is None:
        generator = np.random.default_rng(0)
        shapes = runner.input_shapes
        inputs = {name: generator.random(shape, np.float32) for name, shape in shapes.items()}
    return runner.bind(inputs)


def arrange(
    inputs: Inputs, shapes: Mapping[str, tuple[int, ...]], name: str
) -> dict[str, np.ndarray]:
    """Sort the inputs of a file by name, and check them.

    Args:
        inputs: one array [batch, …], several in a list in the file's order or in a dict by name.
        shapes: of the file's inputs by name, the batch first; sizes that are no numbers are open.
        name: of the file, for messages.

    Returns:
        Arrays by name.

    Raises:
        InputError: if their number, names or shapes are others.
    """
    names = list(shapes)
    if isinstance(inputs, Mapping):
        arrays = {str(name): np.asarray(array) for name, array in inputs.items()}
    else:
        listed = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        arrays = dict(zip(names, map(np.asarray, listed), strict=False))
        if len(listed) != len(names):
            arrays = {}
    if set(arrays) != set(names):
        raise InputError(
            f"{name} takes the inputs {names}, as a list in this order or by name. "
            f"Received: {list(inputs) if isinstance(inputs, Mapping) else len(inputs)}."
        )
    for each, shape in shapes.items():
        if not _fits(arrays[each].shape[1:], shape[1:]) or not len(arrays[each]):
            raise InputError(
                f"{name}: input {each!r} takes batches of shape (n, "
                f"{', '.join(map(str, shape[1:]))}). Received: {arrays[each].shape}."
            )
    return arrays


def _fits(received: Sequence[int], declared: Sequence[Any]) -> bool:
    return len(received) == len(declared) and all(
        given == wanted or not isinstance(wanted, int)
        for given, wanted in zip(received, declared, strict=True)
    )


def quantize(values: np.ndarray, dtype: Any, parameters: Mapping[str, np.ndarray]) -> np.ndarray:
    """Bring floats to the number format of an input; other formats are cast.

    Args:
        values: any shape.
        dtype: of the input.
        parameters: its `scales` and `zero_points`; empty without quantization.

    Returns:
        The nearest integers that the input can take, shaped like `values`.
    """
    dtype = np.dtype(dtype)
    if not len(parameters["scales"]) or not np.issubdtype(dtype, np.integer):
        return values.astype(dtype, copy=False)
    grid = np.rint(values / parameters["scales"][0]) + parameters["zero_points"][0]
    limits = np.iinfo(dtype)
    return np.clip(grid, limits.min, limits.max).astype(dtype)


def dequantize(values: np.ndarray, scale: np.ndarray, zero_point: np.ndarray) -> np.ndarray:
    """Give the floats that an output's integers stand for; others are copied."""
    if not len(scale) or not np.issubdtype(values.dtype, np.integer):
        return values.copy()
    return (values.astype(np.float32) - np.float32(zero_point[0])) * np.float32(scale[0])


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0].rstrip(".") if text else type(error).__name__
