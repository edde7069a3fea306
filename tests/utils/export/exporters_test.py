import subprocess
import sys

import pytest

from utils.export import exporters
from utils.export.exporters import (
    EXPORTERS,
    decoded_files,
    is_timed,
    load_function,
    package_is_there,
)


@pytest.mark.parametrize("kind", EXPORTERS)
def test_every_row_names_functions_that_exist(kind):
    row = EXPORTERS[kind]
    for reference in (row.make, row.runner, row.timed, row.ranks):
        assert reference is None or callable(load_function(reference))
    assert row.ending.startswith(".")


def test_the_table_is_read_without_tensorflow():
    code = "import sys, utils.export.config; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_is_timed():
    assert is_timed("int8") and is_timed("a kind of a later release")
    assert not is_timed("fpq") and not is_timed("tflm")


def test_limits_by_rounding_or_by_flags():
    assert EXPORTERS["float32"].max_error == 1e-4
    assert EXPORTERS["int8"].max_error is None and EXPORTERS["dynamic"].max_error is None


def test_packages_that_are_there(monkeypatch):
    assert package_is_there("int8")
    row = EXPORTERS["tflm"]._replace(package="no_such_package")
    monkeypatch.setitem(exporters.EXPORTERS, "tflm", row)
    assert not package_is_there("tflm")


def test_files_that_devices_decode_from_tables(monkeypatch):
    row = EXPORTERS["tflm"]
    monkeypatch.setitem(exporters.EXPORTERS, "tflm", row._replace(package=None))
    assert decoded_files("tflm") == decoded_files("cortex-m") == ("tflm",)
    assert decoded_files("ethos-u55") == decoded_files("litert") == decoded_files(None) == ()
    monkeypatch.setitem(exporters.EXPORTERS, "tflm", row._replace(package="no_such_package"))
    assert decoded_files("tflm") == ()
