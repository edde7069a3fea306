"""Machines that cannot be reached are named before anything starts; ssh is a stand-in here."""

import socket

import pytest

from utils.errors import InputError
from utils.launch.cluster import Cluster
from utils.launch.reach import is_here, require_reachable


@pytest.fixture
def ssh(tmp_path, monkeypatch):
    """A stand-in for ssh; give the shell lines that it runs."""

    def stand_in(body):
        path = tmp_path / "bin" / "ssh"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(path.parent), prepend=":")

    return stand_in


CLUSTER = Cluster(hosts={"localhost": 1, "far-away.invalid": 1})


def test_this_machine_is_known():
    assert is_here("localhost")
    assert is_here(socket.gethostname())
    assert not is_here("far-away.invalid")


def test_only_others_are_asked(ssh):
    ssh("exit 1")
    require_reachable(Cluster(hosts={"localhost": 2}), "python")
    with pytest.raises(InputError, match="far-away"):
        require_reachable(CLUSTER, "python")


def test_an_unreachable_host_is_named(ssh):
    ssh("echo 'ssh: connect to host far-away.invalid port 22: No route to host' >&2; exit 255")
    with pytest.raises(
        InputError, match=r"^the host far-away.invalid cannot be reached by ssh: ssh"
    ):
        require_reachable(CLUSTER, "python")


def test_a_host_without_the_checkout_is_named(ssh):
    ssh('eval "$(eval echo \\${$#} | sed "s|test -d [^ ]*|false|")"')  # runs the last argument here
    with pytest.raises(InputError, match=r"far-away.invalid lacks something: the folder .* is not"):
        require_reachable(CLUSTER, "/bin/sh")


def test_a_host_without_the_python_is_named(ssh):
    ssh('for last; do :; done; eval "$last"')
    require_reachable(CLUSTER, "/bin/sh")
    with pytest.raises(InputError, match=r"lacks something: /no/such python is not there"):
        require_reachable(CLUSTER, "/no/such python")


def test_without_ssh_it_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"ssh is not installed here"):
        require_reachable(CLUSTER, "python")


def test_a_folder_that_horovodrun_does_not_quote_is_refused(monkeypatch, tmp_path):
    (tmp_path / "my work").mkdir()
    monkeypatch.chdir(tmp_path / "my work")
    require_reachable(Cluster(hosts={"localhost": 2}), "python")
    with pytest.raises(InputError, match=r"cannot change to the folder '.*my work' on other"):
        require_reachable(CLUSTER, "python")
