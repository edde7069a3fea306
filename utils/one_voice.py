"""Among several workers one speaks: worker 0, unless another one alone has something to say.

Known from the launcher's environment, so before TensorFlow or Horovod are loaded.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from utils.command import notes, out
from utils.errors import InputError
from utils.horovod_calls import launched_rank, launched_size
from utils.stopping import Terminated

PATIENCE = 8.0
"""Seconds that a worker waits for the launcher to end it before it says what failed."""


@contextlib.contextmanager
def one_voice() -> Iterator[None]:
    """Keep all workers but worker 0 silent while they do the same.

    A worker that fails ends the run: the launcher ends the others. What all find wrong, worker 0
    says, and the others wait for their end. One that waits in vain found it alone, and says it. One
    that lost another waits too: the launcher has more to say about that one.

    Raises:
        InputError: where another worker was lost.
    """
    rank, size = launched_rank(), launched_size()
    if size == 1:
        yield
        return
    _set_quiet(rank != 0)
    try:
        yield
    except Exception as error:
        lost = is_loss(error)
        if lost or rank:
            time.sleep(PATIENCE)
        _set_quiet(False)
        if lost:
            raise InputError(
                f"worker {rank}: another worker has stopped. The same command goes on from the "
                "last save."
            ) from error
        raise
    except Terminated as stop:
        raise Terminated(told=stop.told or rank != 0) from stop
    _set_quiet(False)


def is_loss(error: BaseException | None) -> bool:
    """Tell whether an exception, or what caused it, says that another worker is gone.

    Example:
        >>> is_loss(RuntimeError("Horovod has been shut down.")), is_loss(ValueError("Horovod"))
        (True, False)
    """
    while error is not None:
        text = str(error)
        if "Horovod has been shut down" in text or "HorovodInternalError" in text:
            return True
        if "orovod" in text and "Connection closed by peer" in text:
            return True
        error = error.__cause__ or error.__context__
    return False


def _set_quiet(is_quiet: bool) -> None:
    for voice in (notes, out):
        voice.quiet = is_quiet
