"""A run owns the folders that it writes to."""

import contextlib
import os
from contextlib import AbstractContextManager

from pipeline.plan import Plan
from utils.ownership import owned

# How launchers tell a process its number among those that run together, before it asks.
_RANKS = ("HOROVOD_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK")


def own_folders(plan: Plan) -> AbstractContextManager[None]:
    """Own the folders of a run while it lasts; see `utils.ownership`.

    A run that only scores writes nothing; of several workers, the first one writes.

    Args:
        plan: the checked plan.

    Raises:
        InputError: on entering, if another run has one of them.
    """
    rank = next((os.environ[name] for name in _RANKS if name in os.environ), "0")
    follows = plan.run.enbl_multi_gpu and rank != "0"
    if plan.run.exec_mode != "train" or follows:
        return contextlib.nullcontext()
    return owned(plan.folders)
