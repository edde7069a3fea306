import hashlib
import json
import shutil

import pytest

from tests.utils.zoo.runs import write_run
from utils.errors import InputError
from utils.report import Network
from utils.zoo.run import read_run, score


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run")


def test_a_run_is_read(finished):
    run = read_run(finished)
    assert run.date == "20200712"
    assert run.after.network == finished / "model.keras"
    assert run.before.files == {"int8": finished / "model_before_int8.tflite"}
    assert run.after.quantized_accuracy == 0.86


def test_a_folder_may_have_been_moved(finished, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(finished, moved)
    assert read_run(moved).after.network == moved / "model.keras"


def test_without_an_accuracy_the_first_metric_counts():
    assert score(Network(params=1, nonzeros=1, sparsity=0.0, metrics={"mAP": 0.5})) == 0.5
    assert score(Network(params=1, nonzeros=1, sparsity=0.0)) is None


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "report.json").unlink(), "holds no report.json"),
        (lambda folder: (folder / "report.json").write_text("[" * 99_999), "nested too deeply"),
        (lambda folder: (folder / "report.json").write_text("[]"), "report.json: it must be an ob"),
        (lambda folder: (folder / "report.json").write_text("{}"), "no report that can be read"),
    ],
)
def test_what_is_no_run_is_refused(spoil, message, finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    spoil(folder)
    with pytest.raises(InputError, match=message):
        read_run(folder)


def test_missing_files_are_named(finished, tmp_path):
    content = json.loads((finished / "report.json").read_text())
    content["after"]["path"] = "/nowhere/gone.keras"
    (tmp_path / "report.json").write_text(json.dumps(content))
    shutil.copy(finished / "model_before.keras", tmp_path)
    with pytest.raises(InputError, match="which is missing"):
        read_run(tmp_path)
    content["after"]["path"] = None
    (tmp_path / "report.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="saved no network after"):
        read_run(tmp_path)


def reported(folder, **changes):
    """Write a report whose int8 file of the network after is another one."""
    content = json.loads((folder / "report.json").read_text())
    content["files"][1] |= changes
    (folder / "report.json").write_text(json.dumps(content))


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def test_a_report_cannot_have_a_file_from_elsewhere_published(copied, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"private key")
    for sha256, message in ((None, "missing in its folder"), ("0" * 64, "has been changed since")):
        reported(copied, path=str(secret), sha256=sha256)
        with pytest.raises(InputError, match=message):
            read_run(copied)
    reported(copied, sha256=hashlib.sha256(b"private key").hexdigest())  # who knows it, has it
    assert read_run(copied).after.files == {"int8": secret}


def test_a_file_that_was_changed_since_is_refused(copied):
    reported(copied, sha256=hashlib.sha256(b"after").hexdigest())
    assert read_run(copied).after.files == {"int8": copied / "model_int8.tflite"}
    (copied / "model_int8.tflite").write_bytes(b"another")
    with pytest.raises(InputError, match=r"model_int8\.tflite has been changed since its report"):
        read_run(copied)


def test_a_kind_that_leads_elsewhere_is_refused(copied):
    reported(copied, kind="/../../int8")
    with pytest.raises(
        InputError, match=r"of the kind '/\.\./\.\./int8', which Flowpress does not"
    ):
        read_run(copied)
