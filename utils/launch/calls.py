"""The command lines that start workers: of horovodrun, of ssh, of a container's engine."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from utils.launch.cluster import Cluster

_CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
_IN_IMAGE = "/flowpress/"  # see Dockerfile

# What horovodrun tells a worker; inside a container it is passed on by name.
PASSED_ON = (
    *(f"HOROVOD_{name}" for name in ("HOSTNAME", "RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE")),
    *(f"HOROVOD_{name}" for name in ("CROSS_RANK", "CROSS_SIZE", "CONTROLLER", "CPU_OPERATIONS")),
    *(f"HOROVOD_GLOO_{name}" for name in ("RENDEZVOUS_ADDR", "RENDEZVOUS_PORT", "IFACE")),
    "NCCL_SOCKET_IFNAME",
    "CUDA_VISIBLE_DEVICES",
)


def horovodrun(program: str, cluster: Cluster, command: Sequence[str]) -> list[str]:
    """Give the call that starts a command once for each slot.

    Args:
        program: horovodrun.
        cluster: the machines.
        command: what each worker runs.

    Example:
        >>> " ".join(horovodrun("horovodrun", Cluster(hosts={"a": 2, "b": 1}), ["main.py"]))
        'horovodrun --gloo -np 3 -H a:2,b:1 main.py'
    """
    hosts = ",".join(f"{host}:{slots}" for host, slots in cluster.hosts.items())
    call = [program, "--gloo", "-np", str(cluster.num_slots), "-H", hosts]
    if cluster.ssh_port is not None:
        call += ["-p", str(cluster.ssh_port)]
    if cluster.ssh_identity_file is not None:
        call += ["-i", cluster.ssh_identity_file]
    if cluster.network_interface is not None:
        call += ["--network-interfaces", cluster.network_interface]
    settings = [f"{name}={value}" for name, value in cluster.environment.items()]
    if cluster.image is not None:
        return [*call, *_in_container(cluster, settings, command)]
    return [*call, *(["env", *settings] if settings else []), *command]


def _in_container(cluster: Cluster, settings: Sequence[str], command: Sequence[str]) -> list[str]:
    """Run a worker in a container with the network, the folder it is called in, and the data."""
    folder, data = str(pathlib.Path.cwd()), cluster.environment.get("FLOWPRESS_DATA", "")
    call = [cluster.engine, "run", "--rm", "--network=host", f"--volume={folder}:{folder}"]
    if data.startswith("/"):
        call.append(f"--volume={data}:{data}")
    call.append(f"--workdir={folder}")
    for setting in settings:
        call += ["--env", setting]
    for name in PASSED_ON:
        call += ["--env", name]
    return [*call, str(cluster.image), *in_image(command)]


def in_image(command: Sequence[str], checkout: pathlib.Path = _CHECKOUT) -> list[str]:
    """Name a checkout's Python and program as they are in the image of the `Dockerfile`.

    Args:
        command: what runs on this machine.
        checkout: Flowpress here.

    Example:
        >>> in_image(["/my/.venv/bin/python", "/my/main.py", "--x=/my/y"], pathlib.Path("/my"))
        ['/flowpress/.venv/bin/python', '/flowpress/main.py', '--x=/my/y']
    """
    here = f"{checkout}/"
    program = [
        f"{_IN_IMAGE}{word.removeprefix(here)}" if word.startswith(here) else word
        for word in command[:2]
    ]
    if program[:1] == ["python3"]:  # the checkout has no environment
        program[0] = f"{_IN_IMAGE}.venv/bin/python"
    return [*program, *command[2:]]


def ssh(cluster: Cluster, host: str, command: str, *, seconds: int) -> list[str]:
    """Give the call that runs a shell's command on a machine, without asking anything."""
    options = ["BatchMode=yes", f"ConnectTimeout={seconds}", "StrictHostKeyChecking=no"]
    call = ["ssh"]
    for option in options:
        call += ["-o", option]
    if cluster.ssh_port is not None:
        call += ["-p", str(cluster.ssh_port)]
    if cluster.ssh_identity_file is not None:
        call += ["-i", cluster.ssh_identity_file]
    return [*call, host, command]
