"""What each worker of a measured run does: `python -m benchmarks.distributed_run FILE ARGUMENTS`.

Every worker has a core to itself, so that one worker and two differ in nothing else. With flags as
ARGUMENTS it is the command `main.py`; with `--steps` and a folder of CIFAR-10 it trains ResNet-20
for some steps and worker 0 writes what it measured to FILE.
"""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

BATCH_SIZE = 128
NUM_STEPS, NUM_WARM = 24, 4  # the first steps trace the graph


def main(argv: Sequence[str]) -> int:
    """Do what the arguments say."""
    file, *arguments = argv
    _take_own_core()
    if arguments[0] != "--steps":
        from pipeline import command

        return command.run(arguments)
    found = steps(arguments[1], pathlib.Path(file).parent)
    if found is not None:
        pathlib.Path(file).write_text(json.dumps(found), encoding="utf-8")
    return 0


def steps(data: str, folder: pathlib.Path) -> dict[str, float] | None:
    """Train ResNet-20 for some steps.

    Args:
        data: folder of CIFAR-10.
        folder: for the states.

    Returns:
        Of worker 0: images per second of all workers, by the median step; a gradient's bytes; bytes
        that each worker sent in a step, the mean of all, over whatever network interface.
    """
    import keras

    from datasets.config import DataConfig
    from nets.resnet_at_cifar10 import ModelHelper
    from utils.multi_gpu_wrapper import MultiGpuWrapper
    from utils.training import FitJob, LossComposer, fit

    workers = MultiGpuWrapper.init(False)
    config = ModelHelper.config_class(data=DataConfig(data_dir_local=data), batch_size=BATCH_SIZE)
    helper = ModelHelper(config, seed=0)
    helper.worker = (workers.rank, workers.size)
    keras.utils.set_random_seed(0)
    model = helper.build_model()
    clock = step_clock()
    job = FitJob(
        make_train=lambda first_step: helper.build_dataset_train(first_step=first_step),
        steps_per_epoch=NUM_STEPS,
        num_steps=NUM_STEPS,
        optimizer=keras.optimizers.SGD(0.01, momentum=0.9),
        loss=LossComposer(helper.calc_loss),
        state_path=folder / f"state_{workers.size}_{workers.rank}.keras",
        callbacks=[clock],
        resume=False,
        quiet=True,
        workers=workers,
    )
    fit(model, job)
    if not workers.is_chief:
        return None
    times, sent = (
        [after - before for before, after in itertools.pairwise(marks)][NUM_WARM:]
        for marks in (clock.seconds, clock.sent)
    )
    seconds = statistics.median(times)
    gradient = sum(variable.value.shape.num_elements() for variable in model.trainable_variables)
    return {
        "images_per_second": workers.size * BATCH_SIZE / seconds,
        "seconds_per_step": seconds,
        "bytes_of_gradient": 4.0 * gradient,
        "bytes_sent": statistics.median(sent) / workers.size,
    }


def step_clock() -> Any:
    """Make a callback that notes time and bytes sent at the end of every step."""
    import keras

    class Clock(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []
            self.sent: list[int] = []

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.seconds.append(time.perf_counter())
            self.sent.append(bytes_sent())

    return Clock()


def bytes_sent(table: pathlib.Path = pathlib.Path("/proc/self/net/dev")) -> int:
    """Add up what the network interfaces of this machine have sent; 0 where that is not told."""
    if not table.exists():
        return 0
    rows = [line.partition(":")[2].split() for line in table.read_text().splitlines()[2:]]
    return sum(int(row[8]) for row in rows)


def _take_own_core() -> None:
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        own = cores[int(os.environ.get("HOROVOD_LOCAL_RANK", "0")) % len(cores)]
        os.sched_setaffinity(0, {own})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
