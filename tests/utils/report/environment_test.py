import datetime
import importlib.metadata
import subprocess
import sys

import pytest

from utils.report import environment


@pytest.fixture
def fresh_caches():
    functions = (environment.this_machine, environment._versions)
    for function in functions:
        function.cache_clear()
    yield
    for function in functions:
        function.cache_clear()


def test_machine_names_processor_and_cores():
    machine = environment.this_machine()
    assert machine.cpu
    assert machine.cores >= 1
    assert machine.os


def test_machine_without_proc_cpuinfo(monkeypatch, tmp_path, fresh_caches):
    monkeypatch.setattr(environment.pathlib.Path, "read_text", _raise_os_error)
    monkeypatch.setattr(environment.platform, "processor", lambda: "arm")
    assert environment.this_machine().cpu == "arm"


def _raise_os_error(*args, **kwargs):
    raise FileNotFoundError


def test_versions_leave_out_what_is_not_installed(monkeypatch, fresh_caches):
    def version(name):
        if name == "tensorflow-cpu":
            return "2.21.0"
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    versions = environment.library_versions()
    assert versions["tensorflow"] == "2.21.0"
    assert set(versions) == {"python", "tensorflow"}


def test_time_is_utc():
    assert (
        datetime.datetime.fromisoformat(environment.utc_now()).utcoffset() == datetime.timedelta()
    )


def test_the_package_does_not_import_tensorflow_or_matplotlib():
    code = (
        "import sys, utils.report; "
        "sys.exit(sum(name in sys.modules for name in ('tensorflow', 'keras', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
