"""A run owns the folders that it writes to."""

import contextlib
from contextlib import AbstractContextManager

from pipeline.plan import Plan
from utils.horovod_calls import launched_rank
from utils.ownership import owned


def own_folders(plan: Plan) -> AbstractContextManager[None]:
    """Own the folders of a run while it lasts; see `utils.ownership`.

    A run that only scores writes nothing; of several workers, the first one writes.

    Args:
        plan: the checked plan.

    Raises:
        InputError: on entering, if another run has one of them.
    """
    if plan.run.exec_mode != "train" or launched_rank() > 0:
        return contextlib.nullcontext()
    return owned(plan.folders)
