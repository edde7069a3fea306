"""Command lines, argument by argument."""

import os
import pathlib

from utils.launch import calls
from utils.launch.calls import PASSED_ON, horovodrun, ssh
from utils.launch.cluster import Cluster

COMMAND = ["python", "main.py", "--out_dir=a 'b' \"c\"", ""]


def test_a_plain_call():
    call = horovodrun("/x/horovodrun", Cluster(hosts={"localhost": 2}), COMMAND)
    assert call == ["/x/horovodrun", "--gloo", "-np", "2", "-H", "localhost:2", *COMMAND]


def test_everything_is_handed_on():
    cluster = Cluster(
        hosts={"a": 2, "b": 1},
        environment={"A": "1 2", "B": ""},
        ssh_port=22,
        ssh_identity_file="/k e y",
        network_interface="eth0",
    )
    call = horovodrun("horovodrun", cluster, COMMAND)
    assert call[2:6] == ["-np", "3", "-H", "a:2,b:1"]
    assert call[6:12] == ["-p", "22", "-i", "/k e y", "--network-interfaces", "eth0"]
    assert call[12:] == ["env", "A=1 2", "B=", *COMMAND]


def test_workers_in_containers_know_their_place():
    cluster = Cluster(hosts={"a": 1}, environment={"A": "1"}, image="img", engine="podman")
    call = horovodrun("horovodrun", cluster, COMMAND)
    assert call[6:10] == ["podman", "run", "--rm", "--network=host"]
    assert f"--workdir={os.getcwd()}" in call
    assert "A=1" in call
    assert {"HOROVOD_RANK", "HOROVOD_GLOO_RENDEZVOUS_PORT"} <= set(PASSED_ON) <= set(call)
    assert call[-len(COMMAND) - 1 :] == ["img", *COMMAND]


def test_containers_have_the_data_and_a_flowpress_of_their_own():
    here = str(pathlib.Path(calls.__file__).parents[2])
    cluster = Cluster(hosts={"a": 1}, environment={"FLOWPRESS_DATA": "/my data"}, image="img")
    command = [f"{here}/.venv/bin/python", f"{here}/main.py", f"--out_dir={here}/runs"]
    call = horovodrun("horovodrun", cluster, command)
    assert "--volume=/my data:/my data" in call
    own = ["/flowpress/.venv/bin/python", "/flowpress/main.py", f"--out_dir={here}/runs"]
    assert call[call.index("img") + 1 :] == own
    assert calls.in_image(["python3", "x.py"]) == ["/flowpress/.venv/bin/python", "x.py"]


def test_ssh_never_asks():
    call = ssh(Cluster(hosts={"a": 1}, ssh_port=7), "a", "true; x 'y'", seconds=3)
    assert "BatchMode=yes" in call
    assert "ConnectTimeout=3" in call
    assert call[-4:] == ["-p", "7", "a", "true; x 'y'"]
