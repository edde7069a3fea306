"""The process of a PyTorch module: `python -m utils.frontends.torch.child '{…}'`.

The argument says which module, in which folder, and where else Python looks for modules. A request
is one line of JSON on standard input: to export, or to run a batch. The answer is one line on
standard output, the first one that the module is loaded; arrays pass as `.npz`. The process ends
with its input.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np

from utils.causes import explanation
from utils.errors import InputError
from utils.files import load_npz, save_npz
from utils.frontends.torch.exporting import export
from utils.frontends.torch.module import load_module

if TYPE_CHECKING:
    import torch

_Result = TypeVar("_Result")


def main(argument: str) -> None:
    """Answer requests until there are no more."""
    # Libraries and the user's code print to descriptor 1: answers go through a copy of it.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    given = json.loads(argument)
    os.chdir(given["folder"])
    sys.path.extend(place for place in given["places"] if place not in sys.path)
    module = _answer(answers, functools.partial(load_module, given["path"], given["weights"]))
    if module is None:
        return
    for line in sys.stdin.buffer:
        _answer(answers, functools.partial(_work, module, json.loads(line)))


def _answer(answers: BinaryIO, work: Callable[[], _Result]) -> _Result | None:
    """Do something, say whether that succeeded, and give what came of it."""
    result = None
    try:
        result = work()
        found = {"failed": ""}
    except Exception as error:  # the user's code raises whatever it likes
        told = isinstance(error, InputError)
        reason = str(error) if told else f"the PyTorch module failed: {explanation(error)}"
        found = {"failed": reason, "traceback": traceback.format_exc()}
    answers.write((json.dumps(found) + "\n").encode())
    return result


def _work(module: torch.nn.Module, request: Mapping[str, Any]) -> None:
    if "sizes" in request:
        export(module, request["sizes"], request["target"])
    else:
        _run(module, request["inputs"], request["target"])


def _run(module: torch.nn.Module, inputs: str, target: str) -> None:
    """Run a batch; whole numbers become PyTorch's own kind of them."""
    import torch

    arrays = [torch.from_numpy(np.ascontiguousarray(each)) for each in load_npz(inputs).values()]
    fed = [each.long() if each.dtype == torch.int32 else each for each in arrays]
    with torch.no_grad():
        made = _leaves(module(*fed))
    save_npz({f"output_{place}": each.numpy() for place, each in enumerate(made)}, target)


def _leaves(made: Any) -> list[Any]:
    """Tensors in what a module returns, in the exporter's order."""
    if isinstance(made, Mapping):
        made = list(made.values())
    if isinstance(made, (list, tuple)):
        return [leaf for each in made for leaf in _leaves(each)]
    return [made]


if __name__ == "__main__":
    main(sys.argv[1])
