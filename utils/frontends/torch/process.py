"""A PyTorch module in a process of its own.

PyTorch's exporter loads Triton's library where it is installed, and crashes in a process in which
TensorFlow was loaded before. And whatever the module does, this process goes on.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from utils.children import end_child
from utils.errors import InputError
from utils.files import load_npz, save_npz
from utils.folders import passing_folder
from utils.frontends.torch.module import file_and_name

_ROOT = pathlib.Path(__file__).resolve().parents[3]


class TorchProcess:
    """A module of the user's, loaded, ready for inference.

    Args:
        path: see `utils.frontends.torch.reader.convert`.
        weights: likewise.

    Attributes:
        path: likewise.
        close: ends the process; so does the end of a `with`, or of the object.

    Raises:
        InputError: if there is no such module, the weights do not fit, or the process is gone.
    """

    def __init__(self, path: str, weights: str | None = None) -> None:
        file_and_name(path)  # before anything is started
        self.path = path
        given = {"path": path, "weights": weights, "folder": os.getcwd(), "places": sys.path}
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "utils.frontends.torch.child", json.dumps(given)],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # Ctrl-C is for the parent; the child ends with its input
        )
        self.close = weakref.finalize(self, end_child, self._process, self._errors)
        try:
            self._receive()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def export(self, sizes: Sequence[Sequence[int]], path: str) -> None:
        """Write the module as ONNX, see `utils.frontends.torch.exporting.export`."""
        self._ask(sizes=sizes, target=path)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run a batch.

        Args:
            inputs: arrays in the order of `forward`'s arguments.

        Returns:
            What the module returns: `output_0`, `output_1` …, those in dicts in their order.

        Raises:
            InputError: if the module fails, or the process is gone.
        """
        with passing_folder() as folder:
            given, target = os.path.join(folder, "in.npz"), os.path.join(folder, "out.npz")
            numbered = enumerate(inputs.values())
            save_npz({f"input_{place}": array for place, array in numbered}, given)
            self._ask(inputs=given, target=target)
            return load_npz(target)

    def _ask(self, **request: Any) -> None:
        stream = self._process.stdin
        if stream is None:
            raise ValueError("the process was started without pipes.")
        try:
            stream.write((json.dumps(request) + "\n").encode())
            stream.flush()
        except BrokenPipeError as error:
            raise InputError(self._crash()) from error
        self._receive()

    def _receive(self) -> None:
        """Wait for the answer."""
        stream = self._process.stdout
        line = b"" if stream is None else stream.readline()
        if not line:
            raise InputError(self._crash())
        answer = json.loads(line)
        if answer["failed"]:
            raise InputError(answer["failed"]) from _InChild(answer["traceback"])

    def _crash(self) -> str:
        """Say why the process is gone and what to do."""
        status = self._process.wait()
        advice = "See that the module can be made, run and exported by PyTorch alone."
        if status == -signal.SIGKILL:
            return (
                f"{self.path}: PyTorch's process was stopped from outside, as when memory runs "
                "out. Free some, or give smaller sizes by --input_shape."
            )
        if status < 0:
            name = signal.Signals(-status).name
            return f"{self.path}: PyTorch's process crashed ({name}). {advice}"
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else "no message"
        return f"{self.path}: PyTorch's process ended (status {status}: {reason}). {advice}"


class _InChild(Exception):  # noqa: N818  for --debug only, never caught
    """The traceback of what failed in the process."""
