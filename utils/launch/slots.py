"""How many workers this machine takes: one for each idle GPU, else one for each core."""

from __future__ import annotations

import os
import shutil
import subprocess

from utils.errors import InputError

IDLE_MEMORY, IDLE_USE = 500, 5  # MiB and percent; a desktop or a display takes as much
_QUERY = ["--query-gpu=index,memory.used,utilization.gpu", "--format=csv,noheader,nounits"]


def idle_gpus() -> list[int] | None:
    """Ask `nvidia-smi` which GPUs do nothing.

    Returns:
        Their numbers; None on a machine without GPUs.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *_QUERY], capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode or not done.stdout.strip():
        return None
    return idle_among(done.stdout)


def idle_among(table: str) -> list[int]:
    r"""Read the table of `nvidia-smi`: number, MiB in use, percent of use; those that do nothing.

    What a GPU does not tell does not count against it.

    Example:
        >>> idle_among("0, 12, 0\n1, 9000, 97\n2, [N/A], [N/A]\n")
        [0, 2]
    """
    found = []
    for line in table.strip().splitlines():
        index, memory, use = (entry.strip() for entry in line.split(","))
        limits = ((memory, IDLE_MEMORY), (use, IDLE_USE))
        if all(not value.isdigit() or int(value) <= limit for value, limit in limits):
            found.append(int(index))
    return found


def settings_for(num_workers: int) -> dict[str, str]:
    """Give each worker its share of this machine.

    Args:
        num_workers: that are wanted here.

    Returns:
        Environment variables: the GPUs to use, or how many threads each worker has; what is set
        already stays.

    Raises:
        InputError: if there are fewer idle GPUs, or cores.
    """
    if num_workers < 1:
        raise InputError(f"-n={num_workers}: the number of workers must be at least 1.")
    gpus = idle_gpus() if "CUDA_VISIBLE_DEVICES" not in os.environ else None
    if gpus is not None:
        if num_workers > len(gpus):
            raise InputError(
                f"-n={num_workers}: {len(gpus)} GPUs are idle here (nvidia-smi). Ask for at most "
                "as many, wait for the others, or choose by CUDA_VISIBLE_DEVICES."
            )
        return {"CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus[:num_workers]))}
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if given:
        _refuse_more(num_workers, len(given.split(",")), "GPUs in CUDA_VISIBLE_DEVICES")
        return {}
    num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    _refuse_more(num_workers, num_cores or 1, "cores")
    threads = str(max(1, (num_cores or 1) // num_workers))
    wanted = {name: threads for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")}
    return {name: value for name, value in wanted.items() if name not in os.environ}


def _refuse_more(num_workers: int, number: int, what: str) -> None:
    if num_workers > number:
        raise InputError(
            f"-n={num_workers}: this machine has {number} {what}, one for each worker at most. "
            f"Ask for at most {number}."
        )
