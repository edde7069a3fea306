"""Start a command as several workers, here or on the machines of a cluster, and watch over them.

    python tools/launch/launch_workers.py --num_workers=2 -- .venv/bin/python main.py --learner=…
    python tools/launch/launch_workers.py --cluster_file=seven.yaml --dry_run -- …

What follows `--` is run once for each worker, by horovodrun. The output is worker 0's. A worker
that dies stops all; its rank and its last lines are shown. `scripts/run_local.sh -n=N` and
`scripts/run_seven.sh` call this.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shlex
import shutil
import sys
from collections.abc import Sequence

if not __package__:  # run as a script: the checkout takes this folder's place on the path
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2])
    from utils import start

    start.prepare()

from tools.command import run_command
from utils.command import out
from utils.errors import InputError
from utils.flags import Parsed, flag
from utils.horovod_calls import require_installed
from utils.launch import watch
from utils.launch.calls import horovodrun
from utils.launch.cluster import Cluster, read_cluster
from utils.launch.reach import require_reachable
from utils.launch.slots import settings_for


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaunchConfig:
    """Where workers are started."""

    num_workers: int | None = flag(
        None, "Workers; by default as many as the cluster has slots, one without a cluster."
    )
    cluster_file: str | None = flag(
        None, "Machines, slots and environment; see seven.yaml.template.", path=True
    )
    dry_run: bool = flag(False, "Print the command instead of running it.")


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments, without the program's name; the workers' command behind `--`.

    Returns:
        The exit status.
    """
    own, command = list(argv), list[str]()
    if "--" in own:
        place = own.index("--")
        own, command = own[:place], own[place + 1 :]
    statuses: list[int] = []

    def body(parsed: Parsed) -> None:
        statuses.append(_launch(parsed.configs[LaunchConfig], command))

    status = run_command((__doc__ or "").strip(), lambda: [LaunchConfig], body, own)
    return status or (statuses[0] if statuses else 0)


def _launch(config: LaunchConfig, command: Sequence[str]) -> int:
    if not command:
        raise InputError("there is no command. Write it behind `--`: -- python main.py …")
    cluster = _cluster(config)
    program = _horovodrun(command[0], required=not config.dry_run)
    call = horovodrun(program, cluster, command)
    if config.dry_run:
        out.print(shlex.join(call), markup=False, soft_wrap=True)
        return 0
    if config.cluster_file is not None:
        require_reachable(cluster, command[0])
    return watch.run(call, cluster.num_slots)


def _cluster(config: LaunchConfig) -> Cluster:
    if config.cluster_file is not None:
        path = pathlib.Path(config.cluster_file)
        return read_cluster(path).limited(config.num_workers, str(path))
    num_workers = 1 if config.num_workers is None else config.num_workers
    environment = settings_for(num_workers)
    return Cluster(hosts={"localhost": num_workers}, environment=environment)


def _horovodrun(python: str, *, required: bool) -> str:
    """Find horovodrun: beside the workers' Python, else beside this one, else on the PATH."""
    beside = (pathlib.Path(program).parent / "horovodrun" for program in (python, sys.executable))
    found = next((str(path) for path in beside if os.access(path, os.X_OK)), None)
    found = found or shutil.which("horovodrun")
    if found is None and required:
        require_installed()
        raise InputError(
            "there is no horovodrun on the PATH; scripts/install_horovod.sh brings it."
        )
    return found or "horovodrun"


if __name__ == "__main__":
    from utils import start

    start.finish(main(sys.argv[1:]))
