"""Two "machines" on one: network namespaces, each with a network and an ssh server of its own."""

import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

from tests.distributed.launching import ENVIRONMENT, ROOT

NAMES, ADDRESSES, PORT, NETWORK = (
    ("fpress_a", "fpress_b"),
    ("10.213.7.1", "10.213.7.2"),
    2207,
    "fp0",
)
SSHD = shutil.which("sshd", path=f"/usr/sbin:/usr/local/sbin:{os.environ['PATH']}")


def lacking():
    """Say what this machine lacks for it."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs Linux and root, for network namespaces"
    for program in ("ip", "ssh", "ssh-keygen"):
        if shutil.which(program, path=f"/usr/sbin:/sbin:{os.environ['PATH']}") is None:
            return f"needs {program}"
    if SSHD is None:
        return "needs sshd: apt-get install openssh-server"
    if not (ROOT / ".venv" / "bin" / "horovodrun").exists():
        return "needs Horovod in the checkout's .venv"
    done = subprocess.run(["ip", "netns", "add", "fpress_try"], capture_output=True, check=False)
    if done.returncode:
        return f"needs network namespaces: {done.stderr.decode().strip()}"
    subprocess.run(["ip", "netns", "delete", "fpress_try"], check=False)
    return ""


pytestmark = pytest.mark.skipif(bool(lacking()), reason=lacking() or "-")


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


def wait_for(address):
    """Wait until the ssh server at an address answers."""
    knock = ["ip", "netns", "exec", NAMES[0], "bash", "-c", f"</dev/tcp/{address}/{PORT}"]
    end = time.perf_counter() + 60
    while subprocess.run(knock, capture_output=True, check=False).returncode:
        assert time.perf_counter() < end, f"no ssh server at {address}"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    """Two namespaces joined by a cable; give the file `seven.yaml` of both."""
    folder = tmp_path_factory.mktemp("machines")
    keys = [folder / "host_key", folder / "user_key"]
    for key in keys:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    config = folder / "sshd_config"
    config.write_text(
        f"Port {PORT}\nHostKey {keys[0]}\nAuthorizedKeysFile {keys[1]}.pub\nStrictModes no\n"
        "UsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nPidFile none\n"
    )
    pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    servers = []
    try:
        for name in NAMES:
            ip("netns", "add", name)
        ip("link", "add", NETWORK, "netns", NAMES[0], "type", "veth", "peer", "name", NETWORK,
           "netns", NAMES[1])  # fmt: skip
        for name, address in zip(NAMES, ADDRESSES, strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", NETWORK)
            ip("-n", name, "link", "set", NETWORK, "up")
            ip("-n", name, "link", "set", "lo", "up")
            call = ["ip", "netns", "exec", name, SSHD, "-D", "-f", str(config)]
            servers.append(subprocess.Popen(call, stderr=subprocess.DEVNULL))
        for address in ADDRESSES:
            wait_for(address)
        file = folder / "seven.yaml"
        file.write_text(
            f"hosts: {{{ADDRESSES[0]}: 1, {ADDRESSES[1]}: 1}}\nssh_port: {PORT}\n"
            f"ssh_identity_file: {keys[1]}\nnetwork_interface: {NETWORK}\n"
            "environment: {OMP_NUM_THREADS: 1, TF_NUM_INTRAOP_THREADS: 1}\n"
        )
        yield file
    finally:
        for server in servers:
            server.terminate()
            server.wait()
        for name in NAMES:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
        known = f"[{ADDRESSES[1]}]:{PORT}"
        subprocess.run(["ssh-keygen", "-q", "-R", known], capture_output=True, check=False)


def run_seven(*arguments, seconds=400):
    """Call the script on the first machine."""
    script = str(ROOT / "scripts" / "run_seven.sh")
    return subprocess.run(
        ["ip", "netns", "exec", NAMES[0], script, *arguments],
        cwd=ROOT,
        env={**ENVIRONMENT, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )


def test_both_train_one_network(machines, tmp_path):
    done = run_seven(
        "nets/convnet_at_digits_run.py",
        f"--seven={machines}",
        "--learner=full-prec",
        "--nb_epochs=2",
        "--tflite=none",
        f"--out_dir={tmp_path / 'out of two'}",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "full-prec: epoch 2/2, step 22/22" in done.stderr  # half the steps of one worker
    assert "Report: " in done.stdout
    assert (tmp_path / "out of two" / "model.keras").is_file()


def test_a_host_that_does_not_answer_is_named(machines, tmp_path):
    file = tmp_path / "seven.yaml"
    file.write_text(machines.read_text().replace(ADDRESSES[1], "10.213.7.9"))
    done = run_seven("nets/convnet_at_digits_run.py", f"--seven={file}", seconds=60)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the host 10.213.7.9 cannot be reached by ssh: ssh: conn")
    assert done.stderr.count("\n") == 1
