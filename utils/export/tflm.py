"""TensorFlow Lite Micro: int8 files whose weights are decoded from tables, and their interpreter.

The interpreter that microcontrollers run comes as a package for the computer, `tflite-micro` (the
extra `tflm`). It has the reference kernels, which are slow here, and is C++ that can take its
process along: it works in processes of its own, `utils.export.tflm_child`.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Sequence
from typing import IO

import numpy as np

from utils.children import end_child
from utils.export.decode_tables import DecodedTensor, with_decode
from utils.export.endpoints import with_names
from utils.export.errors import ExportError
from utils.export.exporters import Made, Source
from utils.export.flatbuffer import FileGraph, Tensor, read_graph
from utils.export.runner import Inputs, arrange, dequantize, quantize
from utils.export.targets import TARGETS
from utils.export.tflite import int8_file
from utils.folders import passing_folder

NUM_RANDOM, NUM_SAMPLES = 16, 32  # inputs that both files must give equal outputs for
_ROOT = pathlib.Path(__file__).resolve().parents[2]
_NO_REASONS = (" ", "Traceback", "RuntimeError", "[RecordingMicroAllocator]")
_ARENA = re.compile(r"Arena allocation total (\d+) bytes")
_SPARE_BYTES = 1 << 20  # of an arena, for what the runtime keeps of each operator


def tflm_file(source: Source) -> Made:
    """Make an int8 file with its weights as indices, and run it beside the plain int8 file.

    Raises:
        ExportError: if TensorFlow Lite Micro has no such operator or cannot run the file, or the
            outputs differ.
    """
    made = int8_file(source)
    before = with_names(made.content, source.outputs)
    content, decoded = with_decode(before)
    plain, packed = TFLMRunner(before), TFLMRunner(content)
    with contextlib.closing(plain), contextlib.closing(packed):
        inputs = plain.random_inputs(NUM_RANDOM)
        inputs += [plain.quantized(sample) for sample in source.samples[:NUM_SAMPLES]]
        expected, outputs = plain.run(inputs), packed.run(inputs)
    equal = [
        all(map(np.array_equal, one, other)) for one, other in zip(expected, outputs, strict=True)
    ]
    if not all(equal):
        raise ExportError(
            f"with its weights as indices, the file gives other outputs on {equal.count(False)} of "
            f"{len(equal)} inputs. Leave tflm out of --tflite, and please report it."
        )
    note = _note(decoded, len(before), len(content), len(inputs))
    return Made(content=content, notes=(*made.notes, note))


def _note(decoded: Sequence[DecodedTensor], before: int, after: int, num_inputs: int) -> str:
    if not decoded:
        return (
            "No weight tensor has so few values that indices take fewer bytes: the tflm file is "
            "the plain int8 file, and TensorFlow Lite Micro runs it."
        )
    widths = sorted({tensor.width for tensor in decoded})
    bits = f"{widths[0]} bits" if len(widths) == 1 else f"{widths[0]} to {widths[-1]} bits"
    return (
        f"The weights of {len(decoded)} tensors are stored as indices of {bits}: {before:,} -> "
        f"{after:,} bytes. TensorFlow Lite Micro gives the outputs of the plain int8 file, bit for "
        f"bit, on {num_inputs} of {num_inputs} inputs."
    )


class TFLMRunner:
    """A `.tflite` file in TensorFlow Lite Micro, as a function from float batches to float outputs.

    Args:
        content: of an int8 or float file with a batch of one; with `DECODE` operators or without.
        num_threads: processes that share the samples of a batch.

    Attributes:
        graph: what the file contains.

    Raises:
        ExportError: if it has operators that TensorFlow Lite Micro lacks.
    """

    def __init__(self, content: bytes, num_threads: int = 1) -> None:
        self.graph: FileGraph = read_graph(content)
        known = TARGETS["tflm"].operators or frozenset()
        lacking = sorted({operator.name for operator in self.graph.operators} - known)
        if lacking:
            raise ExportError(
                f"TensorFlow Lite Micro has no operator {', '.join(lacking)}. Replace the layers "
                "that become it, or leave it out of --tflite and --target."
            )
        self._content = content
        self._num_processes = num_threads
        self._processes: list[_Process] = []

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every input by name, the batch first."""
        return {name: self.graph.tensors[i].shape for name, i in self.graph.inputs.items()}

    def float_operators(self) -> tuple[str, ...]:
        """Name the operators of an int8 file that compute in float; empty for other kinds."""
        return self.graph.float_operators() if self.graph.kind() == "int8" else ()

    def __call__(self, inputs: Inputs) -> np.ndarray | list[np.ndarray]:
        """Run a batch of any size, see `utils.export.runner.TFLiteRunner`."""
        arrays = arrange(inputs, self.input_shapes, "the .tflite file")
        count = len(next(iter(arrays.values())))
        samples = [{name: a[i : i + 1] for name, a in arrays.items()} for i in range(count)]
        rows = self.run([self.quantized(sample) for sample in samples])
        order = self.graph.output_order
        outputs = []
        for number in self.graph.outputs.values():
            tensor = self.graph.tensors[number]
            raw = np.concatenate([row[order.index(number)] for row in rows])
            outputs.append(dequantize(raw, tensor.scale, tensor.zero_point))
        return outputs[0] if len(outputs) == 1 else outputs

    def quantized(self, sample: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Bring one sample, [1, …] by input name, to the file's own numbers and order."""
        by_number = {number: sample[name] for name, number in self.graph.inputs.items()}
        found = []
        for number in self.graph.input_order:
            tensor = self.graph.tensors[number]
            parameters = {"scales": tensor.scale, "zero_points": tensor.zero_point}
            found.append(quantize(by_number[number], tensor.dtype, parameters))
        return found

    def random_inputs(self, count: int) -> list[list[np.ndarray]]:
        """Draw inputs: int8 over the whole range, floats in [0, 1), other numbers zero."""
        generator = np.random.default_rng(0)
        tensors = [self.graph.tensors[number] for number in self.graph.input_order]
        return [[_drawn(generator, tensor) for tensor in tensors] for _ in range(count)]

    def run(self, samples: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
        """Run samples in the file's own numbers.

        Args:
            samples: each an array per input, in the order of the interpreter.

        Returns:
            For each sample an array per output, likewise.

        Raises:
            ExportError: if the interpreter refuses the file, or is gone.
        """
        while len(self._processes) < min(self._num_processes, len(samples)):
            self._processes.append(_Process(self._content, self.graph))
        shares = [samples[i :: len(self._processes)] for i in range(len(self._processes))]
        with concurrent.futures.ThreadPoolExecutor(max(len(shares), 1)) as pool:
            rows = list(pool.map(_Process.run, self._processes, shares))
        return [rows[i % len(rows)][i // len(rows)] for i in range(len(samples))]

    def arena_bytes(self) -> int:
        """Working memory that an interpreter takes: activations, and what it keeps of operators.

        Pointers have 8 bytes here and 4 on a microcontroller, which so takes a little less.

        Raises:
            ExportError: if the interpreter cannot run the file or does not say it.
        """
        self.run(self.random_inputs(1))
        return self._processes[0].arena_bytes()

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.close()
        self._processes.clear()


def _drawn(generator: np.random.Generator, tensor: Tensor) -> np.ndarray:
    if tensor.dtype == "int8":
        return generator.integers(-128, 128, tensor.shape, np.int8)
    if tensor.dtype == "float32":
        return generator.random(tensor.shape, np.float32)
    return np.zeros(tensor.shape, tensor.dtype)


class _Process:
    """An interpreter, see `utils.export.tflm_child`."""

    def __init__(self, content: bytes, graph: FileGraph) -> None:
        self._outputs = [graph.tensors[number] for number in graph.output_order]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  as long as the process
        folder = passing_folder()
        file = pathlib.Path(folder.name) / "network.tflite"
        file.write_bytes(content)
        numbers = {"inputs": len(graph.input_order), "arena": _arena_bytes(content, graph)}
        request = json.dumps({"file": str(file), "outputs": len(self._outputs), **numbers})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "utils.export.tflm_child", request],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # it ends with its input
        )
        self.close = weakref.finalize(self, _end, self._process, self._errors, folder)

    def run(self, samples: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
        """Run samples one after the other."""
        return [self._run(sample) for sample in samples]

    def _run(self, sample: Sequence[np.ndarray]) -> list[np.ndarray]:
        given, answers = self._process.stdin, self._process.stdout
        if given is None or answers is None:
            raise ValueError("the process was started without pipes.")
        try:
            given.write(b"".join(array.tobytes() for array in sample))
            given.flush()
            return [self._read(answers, tensor) for tensor in self._outputs]
        except (BrokenPipeError, EOFError) as error:
            raise ExportError(
                f"TensorFlow Lite Micro cannot run the file: {self._reason()}. Leave it out of "
                "--tflite and --target."
            ) from error

    def arena_bytes(self) -> int:
        """Read what the interpreter, which has run, said of its memory."""
        said = _ARENA.search(self._said())
        if said is None:
            raise ExportError(
                "TensorFlow Lite Micro does not say how much memory it takes: another version of "
                "the package tflite-micro may say it otherwise."
            )
        return int(said[1])

    def _said(self) -> str:
        """Give what came on standard error so far; the place where the child writes stays."""
        size = os.fstat(self._errors.fileno()).st_size
        return os.pread(self._errors.fileno(), size, 0).decode(errors="replace")

    @staticmethod
    def _read(answers: IO[bytes], tensor: Tensor) -> np.ndarray:
        size = math.prod(tensor.shape) * np.dtype(tensor.dtype).itemsize
        content = answers.read(size)
        if len(content) < size:
            raise EOFError
        return np.frombuffer(content, tensor.dtype).reshape(tensor.shape)

    def _reason(self) -> str:
        """Give what the interpreter said last of itself, or how its process ended."""
        status = self._process.wait()
        lines = self._said().strip().splitlines()
        said = [line for line in lines if not line.startswith(_NO_REASONS)]
        last = said[-1] if said else "no message"
        return f"{last.rstrip('. ')} (status {status})"


def _end(
    process: subprocess.Popen[bytes],
    errors: IO[bytes],
    folder: tempfile.TemporaryDirectory[str],
) -> None:
    end_child(process, errors)
    folder.cleanup()


def _arena_bytes(content: bytes, graph: FileGraph) -> int:
    """Bound the memory of an interpreter: all that is computed at once, and what it keeps."""
    computed = sum(
        math.prod(tensor.shape) * np.dtype(tensor.dtype).itemsize
        for tensor in graph.tensors
        if not tensor.constant
    )
    return 2 * computed + len(content) + _SPARE_BYTES
