"""Places and files of a run of several workers; the workers are threads here."""

import dataclasses

import keras
import numpy as np
import pytest

from learners.base import Trained
from pipeline import workers as module
from pipeline.workers import facts_of_worker, joined, own_place, refuse_differences, share_result
from tests.learners.runs import make_run
from tests.utils.several import run_workers
from utils.errors import InputError
from utils.multi_gpu_wrapper import MultiGpuWrapper


@pytest.fixture
def plan(tmp_path):
    return make_run(
        "full-prec,chn-pruned-rmt", tmp_path / "run", cpr_search=True, budget="flops:0.5"
    )[0]


def test_one_worker_has_the_plan_as_it_is(plan):
    with joined(MultiGpuWrapper(), plan, None) as own:
        assert own is plan


def test_others_find_what_worker_0_finds_and_write_elsewhere(plan, monkeypatch):
    state, artefact = plan.stages[0].state_path, plan.stages[1].artefact_path
    contents = {
        state: b"state",
        state.with_suffix(".run.json"): b"{}",
        state.with_stem(f"{state.stem}.part"): b"part",
        artefact.with_name("search.jsonl"): b"line\n",
    }
    for path, content in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    artefact.with_name("model_int8.tflite").write_bytes(b"not taken up")
    artefact.with_name("unrelated.npz").write_bytes(b"not taken up")
    before = {path: path.read_bytes() for path in plan.folder.rglob("*") if path.is_file()}

    def work(workers):
        with own_place(workers, plan) as own:
            first, last = own.stages[0].state_path, own.stages[1].artefact_path
            found = {
                path.name: path.read_bytes()
                for folder in (first.parent, last.parent)
                for path in folder.glob("*")
                if path.is_file()
            }
            if not workers.is_chief:
                last.write_bytes(b"own")
                own.log_dir.mkdir()
        return own, found

    (chief, _), *others = run_workers(monkeypatch, 3, work)
    assert chief is plan
    for own, found in others:
        assert found == {path.name: content for path, content in contents.items()}
        assert own.stages[0].state_path.name == state.name
        assert own.stages[1].artefact_path.name == artefact.name
        assert not own.log_dir.parent.exists()  # it vanishes with what was written there
    assert others[0][0].log_dir != others[1][0].log_dir
    after = {path: path.read_bytes() for path in plan.folder.rglob("*") if path.is_file()}
    assert after == before


def test_a_run_that_begins_anew_takes_nothing_up(plan, monkeypatch):
    state = plan.stages[0].state_path
    state.parent.mkdir(parents=True)
    state.write_bytes(b"old")
    anew = dataclasses.replace(plan, run=dataclasses.replace(plan.run, resume=False))

    def work(workers):
        with own_place(workers, anew) as own:
            return own.stages[0].state_path.exists()

    assert run_workers(monkeypatch, 2, work) == [True, False]


def test_versions_and_flags_must_be_the_same(monkeypatch):
    def work(workers):
        keras_version = "3.14" if workers.rank == 2 else "3.15"
        refuse_differences(workers, {"Keras": keras_version, "flags": "a"})

    for error in run_workers(monkeypatch, 3, work):
        assert isinstance(error, InputError)
        assert str(error).startswith("worker 2 on ")
        assert "differs from worker 0" in str(error)
        assert "Keras 3.14 (worker 0: 3.15)." in str(error)


def test_facts_tell_flags_apart_but_not_places(tmp_path):
    def facts(folder, **values):
        return facts_of_worker(*make_run("full-prec", tmp_path / folder, **values))

    assert facts("a") == facts("b")
    assert facts("a")["flags"] != facts("a", seed=7)["flags"]


def network(value, zero):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(2, name="d")(inputs))
    kernel = np.full((2, 2), value, np.float32)
    kernel[0, zero] = 0.0
    model.get_layer("d").set_weights([kernel, np.zeros(2)])
    return model


@pytest.mark.parametrize("alike", [True, False])
def test_a_stages_result_is_shared(monkeypatch, alike):
    networks = [network(1.0, 0), network(1.5, 0 if alike else 1)]
    found = run_workers(
        monkeypatch, 2, lambda workers: share_result(workers, Trained(networks[workers.rank]), "x")
    )
    if alike:
        assert found == [None, None]
        for one, other in zip(*(each.get_weights() for each in networks), strict=True):
            np.testing.assert_array_equal(one, other)
    else:
        assert all("disagree on what x left (shapes and zeros)" in str(error) for error in found)


def test_all_get_the_report(monkeypatch):
    class Report:
        @classmethod
        def from_dict(cls, document):
            return dataclasses.make_dataclass("Made", [("said", dict), ("model", object)])(
                document, None
            )

        def to_dict(self):
            return {"top1": 0.5}

    monkeypatch.setattr(module, "Report", Report)
    followed = []

    def work(workers):
        def follow():
            followed.append(workers.rank)
            return "network"

        return module.report_of_chief(workers, Report, follow)

    chief, other = run_workers(monkeypatch, 2, work)
    assert isinstance(chief, Report)
    assert (other.said, other.model) == ({"top1": 0.5}, "network")
    assert followed == [1]


def test_sources_tell_checkouts_apart(tmp_path, monkeypatch):
    file = tmp_path / "utils" / "deep" / "one.py"
    file.parent.mkdir(parents=True)
    file.write_text("x = 1")
    monkeypatch.setattr(module, "__file__", str(tmp_path / "pipeline" / "workers.py"))
    before = module._sources_digest()
    (tmp_path / "notes.txt").write_text("no source")
    assert module._sources_digest() == before
    file.write_text("x = 2")
    assert module._sources_digest() != before
