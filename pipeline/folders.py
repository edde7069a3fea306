"""A run owns the folders that it writes to."""

import contextlib
from contextlib import AbstractContextManager

from pipeline.plan import Plan
from utils.folders import sweep_passing
from utils.horovod_calls import launched_rank
from utils.ownership import owned


def own_folders(plan: Plan) -> AbstractContextManager[None]:
    """Own the folders of a run while it lasts; see `utils.ownership`.

    What killed runs left in the system's place for temporary files is removed first.

    A run that only scores writes nothing; of several workers, the first one writes.

    Args:
        plan: the checked plan.

    Raises:
        InputError: on entering, if another run has one of them.
    """
    sweep_passing()
    if plan.run.exec_mode != "train" or launched_rank() > 0:
        return contextlib.nullcontext()
    return owned(plan.folders)
