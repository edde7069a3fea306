"""How many workers a machine takes."""

import pytest

from utils.errors import InputError
from utils.launch import slots


@pytest.fixture
def machine(monkeypatch):
    """Set up a machine: idle GPUs (None without any), cores."""

    def make(*, gpus=None, cores=8, visible=None, threads=None):
        monkeypatch.setattr(slots, "idle_gpus", lambda: gpus)
        monkeypatch.setattr(slots.os, "sched_getaffinity", lambda _: range(cores), raising=False)
        for name, value in (("CUDA_VISIBLE_DEVICES", visible), ("OMP_NUM_THREADS", threads)):
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)

    return make


def test_idle_gpus_are_taken(machine):
    machine(gpus=[1, 4, 6])
    assert slots.settings_for(2) == {"CUDA_VISIBLE_DEVICES": "1,4"}


def test_too_few_idle_gpus(machine):
    machine(gpus=[3])
    with pytest.raises(InputError, match=r"^-n=2: 1 GPUs are idle here \(nvidia-smi\)"):
        slots.settings_for(2)


def test_a_choice_of_gpus_stays(machine):
    machine(gpus=[3], visible="0,5")
    assert slots.settings_for(2) == {}
    with pytest.raises(InputError, match=r"-n=3: this machine has 2 GPUs in CUDA_VISIBLE_DEVICES"):
        slots.settings_for(3)


def test_cores_are_shared(machine):
    machine(cores=8)
    assert slots.settings_for(3) == {"OMP_NUM_THREADS": "2", "TF_NUM_INTRAOP_THREADS": "2"}
    machine(cores=8, threads="1")
    assert slots.settings_for(3) == {"TF_NUM_INTRAOP_THREADS": "2"}


def test_more_workers_than_cores(machine):
    machine(cores=2)
    with pytest.raises(InputError, match=r"^-n=3: this machine has 2 cores, one for each worker"):
        slots.settings_for(3)
    with pytest.raises(InputError, match=r"^-n=0: the number of workers must be at least 1"):
        slots.settings_for(0)


def test_nvidia_smi_is_asked(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\nprintf '0, 10, 0\\n1, 20000, 99\\n2, 400, 80\\n3, 3, [N/A]\\n'\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert slots.idle_gpus() == [0, 3]
    program.write_text("#!/bin/sh\nexit 9\n")  # no driver
    assert slots.idle_gpus() is None
