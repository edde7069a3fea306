import pytest

from utils.errors import InputError
from utils.export.targets import ACCELERATORS, NAMES, TARGETS, check_weights, find_target


@pytest.mark.parametrize(
    ("family", "rows"), [("EthosU55", ("ethos-u55", "ethos-u65")), ("EthosU85", ("ethos-u85",))]
)
def test_operators_of_an_ethos_u_are_those_of_its_compiler(family, rows):
    regor = pytest.importorskip("ethosu.regor")
    said = regor.tflite_operator_constraints(family)
    names = {{"ARGMAX": "ARG_MAX"}.get(name, name) for name in said}
    for row in rows:
        assert TARGETS[row].operators == names


def test_multiples_of_channels():
    rows = {name: row.channels for name, row in TARGETS.items()}
    assert (rows["litert"], rows["ethos-u55"], rows["ethos-u65"], rows["cortex-m"]) == (16, 8, 8, 4)
    assert [find_target(name).channels for name in ("ethos-u55-32", "ethos-u55-256")] == [4, 8]
    assert rows["tflm"] == 1


def test_kernels_of_a_cortex_m_are_a_part_of_its_operators():
    row = TARGETS["cortex-m"]
    assert row.fast < row.operators == TARGETS["tflm"].operators
    assert "GELU" not in row.operators and "CONV_2D" in row.fast


def test_every_accelerator_is_a_target_of_its_own():
    for name in ACCELERATORS:
        found = find_target(name)
        assert found.accelerator == name and found.runs == "vela"
        assert found.operators == TARGETS[name.rpartition("-")[0]].operators
    for name in set(TARGETS) - {"litert", "tflm", "cortex-m"}:
        assert TARGETS[name].accelerator in ACCELERATORS
    assert len(NAMES) == len(set(NAMES))


def test_unknown_targets_list_the_others():
    with pytest.raises(InputError, match=r"no target 'cortexm'. Did you mean 'cortex-m'"):
        find_target("cortexm")


def test_weights_that_a_device_does_not_compute_with_are_refused():
    check_weights(None, "int4", "--budget")
    check_weights("tflm", "int4", "--budget")
    message = (
        r"ethos-u55 computes with weights of int8\. Received: --target=ethos-u55 .*int4 \(--set"
    )
    with pytest.raises(InputError, match=message):
        check_weights("ethos-u55", "int4", "--setting")
