"""The choices made so far, on disk, so that a run that was killed does not make them again.

A choice takes minutes in a large network. Each is kept in a file of its own beside the recipe's
state, `model.keras` to `model.channels.1.2.npz`, with a digest of all that it follows from: a file
is taken for an answer only where the question is the same to the bit.
"""

import hashlib
import json
import pathlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from learners.discrimination_aware_pruning.selection import Choice
from utils.errors import InputError
from utils.files import load_npz, save_npz
from utils.json_reader import document
from utils.schema import Fields, ListOf, MapOf, Number, Text

_FACTS = Fields(
    {
        "question": Text(),
        "seconds": Number(0.0),
        "kernels": ListOf(ListOf(Text())),
        "errors": MapOf(Number()),
    }
)


def question(facts: Mapping[str, Any], weights: Iterable[np.ndarray]) -> str:
    """Digest what a choice follows from.

    Args:
        facts: JSON-like values.
        weights: of the network, and of what stands on it.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for array in weights:
        digest.update(str((array.dtype, array.shape)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


class SelectionJournal:
    """Keeps choices; see the module.

    Args:
        state_path: the recipe's state.
        resume: take what is there; False makes every choice anew.
        writes: whether this process is the one that writes files.
    """

    def __init__(self, state_path: pathlib.Path, *, resume: bool, writes: bool) -> None:
        self._state_path = state_path
        self._resume = resume
        self._writes = writes

    def answer(self, name: str, asked: str, choose: Callable[[], Choice]) -> tuple[Choice, float]:
        """Give the choice that is kept for a question, else make it and keep it.

        Args:
            name: of the choice in the run, e.g. by numbers: "1.2".
            asked: see `question`.
            choose: makes it.

        Returns:
            The choice and the seconds that it took.
        """
        known = self._read(name, asked)
        if known is not None:
            return known
        start = time.perf_counter()
        choice = choose()
        seconds = time.perf_counter() - start
        if self._writes:
            self._write(name, asked, choice, seconds)
        return choice, seconds

    def _read(self, name: str, asked: str) -> tuple[Choice, float] | None:
        path = self._path(name)
        if not self._resume or not path.is_file():
            return None
        try:
            arrays = load_npz(path)
            facts = document(str(arrays["facts"]), str(path), _FACTS)
            kernels = {tuple(key): arrays[f"kernel_{i}"] for i, key in enumerate(facts["kernels"])}
            choice = Choice(arrays["mask"], kernels, facts["errors"])
        except (InputError, KeyError):  # damaged: it can be made again
            return None
        fits = choice.mask.dtype == bool and all(k.dtype.kind == "f" for k in kernels.values())
        return (choice, facts["seconds"]) if fits and facts["question"] == asked else None

    def _write(self, name: str, asked: str, choice: Choice, seconds: float) -> None:
        facts = {
            "question": asked,
            "seconds": seconds,
            "kernels": list(choice.kernels),
            "errors": dict(choice.errors),
        }
        # Names of layers are in the text: not every one could name an entry of the archive.
        arrays = {f"kernel_{i}": values for i, values in enumerate(choice.kernels.values())}
        arrays |= {"facts": np.array(json.dumps(facts)), "mask": choice.mask}
        save_npz(arrays, self._path(name))

    def _path(self, name: str) -> pathlib.Path:
        return self._state_path.with_suffix(f".channels.{name}.npz")
