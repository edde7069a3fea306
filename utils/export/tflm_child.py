"""The process of a TensorFlow Lite Micro interpreter: `python -m utils.export.tflm_child '{…}'`.

The argument says which file, how much memory, how many inputs and outputs. The bytes of one
sample's inputs come on standard input, those of its outputs go to standard output, and so on until
there are no more. What the interpreter has to say goes to standard error; it ends the process.
"""

from __future__ import annotations

import json
import math
import os
import pathlib
import sys
from typing import Any, BinaryIO

import numpy as np


def main(argument: str) -> None:
    """Answer until the input ends."""
    from tflite_micro import runtime  # the extra `tflm`

    # Libraries print to descriptor 1 as well: answers go through a copy that only this knows.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    request = json.loads(argument)
    content = pathlib.Path(request["file"]).read_bytes()
    interpreter = runtime.Interpreter.from_bytes(content, arena_size=request["arena"])
    interpreter.print_allocations()  # to standard error
    inputs = [interpreter.get_input_details(i) for i in range(request["inputs"])]
    while all(_set(interpreter, i, item, sys.stdin.buffer) for i, item in enumerate(inputs)):
        interpreter.invoke()
        for number in range(request["outputs"]):
            answers.write(np.ascontiguousarray(interpreter.get_output(number)).tobytes())
        answers.flush()


def _set(interpreter: Any, number: int, item: dict[str, Any], stream: BinaryIO) -> bool:
    """Read an input and set it; False at the end of the stream."""
    shape, dtype = tuple(map(int, item["shape"])), np.dtype(item["dtype"])
    size = math.prod(shape) * dtype.itemsize
    content = stream.read(size)
    if len(content) < size:
        return False
    interpreter.set_input(np.frombuffer(content, dtype).reshape(shape), number)
    return True


if __name__ == "__main__":
    main(sys.argv[1])
