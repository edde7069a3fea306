"""Looking at the machines before anything is started: reachable, and with the same checkout."""

from __future__ import annotations

import concurrent.futures
import pathlib
import shlex
import socket
import subprocess

from utils.errors import InputError
from utils.launch.calls import ssh
from utils.launch.cluster import Cluster

SECONDS = 10  # that a machine has to answer


def require_reachable(cluster: Cluster, program: str) -> None:
    """Refuse machines that cannot be reached, or lack what a worker needs.

    Args:
        cluster: the machines.
        program: a worker's program; not looked for where the workers run in containers.

    Raises:
        InputError: names the first machine and what is wrong.
    """
    others = [host for host in cluster.hosts if not is_here(host)]
    folder = str(pathlib.Path.cwd())
    if others and shlex.quote(folder) != folder:
        raise InputError(
            f"horovodrun cannot change to the folder {folder!r} on other machines. Begin in one "
            "without spaces and special characters in its path."
        )
    with concurrent.futures.ThreadPoolExecutor(max_workers=16) as pool:
        for said in pool.map(lambda host: _trouble(cluster, host, program), others):
            if said:
                raise InputError(said)


def is_here(host: str) -> bool:
    """Tell whether a host is this machine."""
    if host in ("localhost", "127.0.0.1", "::1", socket.gethostname(), socket.getfqdn()):
        return True
    try:
        address = socket.gethostbyname(host)
    except OSError:
        return False
    if address.startswith("127."):
        return True
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))  # only an address of this machine can be bound
        except OSError:
            return False
    return True


def _trouble(cluster: Cluster, host: str, program: str) -> str:
    folder = str(pathlib.Path.cwd())
    tests = [f"test -d {shlex.quote(folder)} || echo 'the folder {folder} is not there'"]
    if cluster.image is None:
        tests.append(f"test -x {shlex.quote(program)} || echo '{program} is not there'")
    call = ssh(cluster, host, "; ".join(tests), seconds=SECONDS)
    try:
        done = subprocess.run(
            call, capture_output=True, text=True, check=False, timeout=3 * SECONDS
        )
    except FileNotFoundError:
        return "ssh is not installed here. Install it: apt-get install openssh-client."
    except subprocess.TimeoutExpired:
        return f"the host {host} did not answer within {3 * SECONDS} s. Check seven.yaml."
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        why = lines[-1] if lines else f"ssh ended with status {done.returncode}"
        return (
            f"the host {host} cannot be reached by ssh: {why}. It must let you in without a "
            f"password: try `ssh {host} true`."
        )
    said = done.stdout.strip().splitlines()
    if said:
        return (
            f"the host {host} lacks something: {said[0]}. All machines need the checkout, with its "
            ".venv, at the same path."
        )
    return ""
