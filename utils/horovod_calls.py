"""The few calls of Horovod that everything else is made of; each is made by all workers alike.

Bytes are what is sent, sums of arrays what is reduced. Horovod's own wrappers for Keras are not
used: they know Keras 2 only. The names of the operations are fixed: calls follow each other in
the same order in every worker, so no two of a name are ever under way at a time.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from utils.errors import InputError

INSTALL = "scripts/install_horovod.sh"
_CYCLE_MS = "5"

# What the launchers tell their processes: horovodrun with Gloo, then those of MPI.
_SIZES = ("HOROVOD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
_RANKS = ("HOROVOD_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK")


def launched_size(environ: Mapping[str, str] = os.environ) -> int:
    """Say how many processes the launcher of this one has started; 1 without a launcher.

    Example:
        >>> launched_size({"HOROVOD_SIZE": "4", "HOROVOD_RANK": "1"}), launched_size({})
        (4, 1)
    """
    return next((int(environ[name]) for name in _SIZES if environ.get(name, "").isdigit()), 1)


def launched_rank(environ: Mapping[str, str] = os.environ) -> int:
    """Say which of them this one is; 0 without a launcher."""
    return next((int(environ[name]) for name in _RANKS if environ.get(name, "").isdigit()), 0)


def require_installed() -> None:
    """Refuse to go on without Horovod.

    Raises:
        InputError: with the command that installs it.
    """
    if importlib.util.find_spec("horovod") is None:
        raise InputError(
            "several workers need Horovod, which this Python lacks. Install it once with "
            f"{INSTALL} (it is built from source: about 5 minutes), or run one worker: without -n "
            "and --enbl_multi_gpu."
        )


def start() -> Any:
    """Join the other workers.

    Returns:
        The module `horovod.tensorflow`, initialized.

    Raises:
        InputError: without Horovod, with one that cannot be loaded, or where the launcher's
            processes do not find each other.
    """
    require_installed()
    # A worker may wait for minutes while worker 0 measures files: that is no stall.
    os.environ.setdefault("HOROVOD_STALL_CHECK_DISABLE", "1")
    _talk_less_often()
    try:
        import horovod.tensorflow as hvd

        hvd.init()
    except ImportError as error:
        raise InputError(
            f"Horovod cannot be loaded: {str(error).splitlines()[0]}. It was built for another "
            f"TensorFlow or Python: build it anew with {INSTALL} --rebuild."
        ) from error
    if hvd.size() < launched_size():
        raise InputError(
            f"{launched_size()} processes were launched, but Horovod sees {hvd.size()} in this "
            "one: it was built without the launcher's MPI. Start with horovodrun, or build it with "
            f"{INSTALL} --mpi --rebuild."
        )
    _use_own_gpu(hvd.local_rank())
    return hvd


def _talk_less_often() -> None:
    """Let Horovod's workers ask each other every 5 ms what is to be exchanged, not every one.

    Without GPUs a step takes far longer, and what is asked is a sixth of a small network's
    gradient. What the user has set stays.
    """
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        os.environ.setdefault("HOROVOD_CYCLE_TIME", _CYCLE_MS)


def _use_own_gpu(local_rank: int) -> None:
    """Let a worker see the GPU of its number on its machine, and take memory as it needs it."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return
    own = gpus[local_rank % len(gpus)]
    try:
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
        tf.config.set_visible_devices(own, "GPU")
    except RuntimeError as error:
        raise InputError(
            "several workers must be started before TensorFlow uses a GPU: begin the program with "
            f"it ({error})."
        ) from error


def hvd() -> Any:
    """Give the module after `start`."""
    import horovod.tensorflow

    return horovod.tensorflow


def broadcast_bytes(content: bytes, rank: int) -> bytes:
    """Give all workers what worker 0 holds.

    Args:
        content: worker 0's; the others' is not looked at.
        rank: of this worker.

    Returns:
        Worker 0's bytes.
    """
    own = content if rank == 0 else b""
    size = int(hvd().broadcast(np.array([len(own)], np.int64), 0, name="flowpress.length")[0])
    if not size:
        return b""
    buffer = np.frombuffer(own, np.uint8) if rank == 0 else np.zeros(size, np.uint8)
    return hvd().broadcast(buffer, 0, name="flowpress.bytes").numpy().tobytes()


def gather_bytes(content: bytes) -> list[bytes]:
    """Collect bytes of all workers, in the order of their ranks, in every one of them."""
    sizes = hvd().allgather(np.array([len(content)], np.int64), name="flowpress.lengths").numpy()
    whole = hvd().allgather(np.frombuffer(content + b"\0", np.uint8), name="flowpress.gathered")
    text, found, start = whole.numpy().tobytes(), [], 0
    for size in sizes:  # a byte more each: no worker may come with nothing
        found.append(text[start : start + int(size)])
        start += int(size) + 1
    return found


def sum_arrays(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Add up arrays over the workers, those of one type in one go."""
    found: list[np.ndarray] = [np.asarray(array) for array in arrays]
    for kind in sorted({array.dtype.str for array in found}):
        places = [index for index, array in enumerate(found) if array.dtype.str == kind]
        sums = hvd().grouped_allreduce(
            [np.ascontiguousarray(found[index]) for index in places],
            op=hvd().Sum,
            name=f"flowpress.sums.{kind.strip('<>|=')}",
        )
        for index, total in zip(places, sums, strict=True):
            found[index] = total.numpy().reshape(found[index].shape)
    return found


def averaged(tensors: Sequence[Any]) -> list[Any]:
    """Average tensors over the workers, those of one type in one go; may be in a `tf.function`.

    Args:
        tensors: float16, float32 or float64 tensors, the same shapes and types in every worker.
    """
    found = list(tensors)
    for kind in sorted({tensor.dtype.name for tensor in found}):
        places = [index for index, tensor in enumerate(found) if tensor.dtype.name == kind]
        means = hvd().grouped_allreduce(
            [found[index] for index in places], op=hvd().Average, name=f"flowpress.means.{kind}"
        )
        for index, mean in zip(places, means, strict=True):
            found[index] = mean
    return found
