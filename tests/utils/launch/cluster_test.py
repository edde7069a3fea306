"""The machines of `seven.yaml`: read with care, refused in one line."""

import pathlib

import pytest

import main
from utils.errors import InputError
from utils.launch.cluster import Cluster, read_cluster

TEMPLATE = pathlib.Path(main.__file__).resolve().parent / "seven.yaml.template"


def read(tmp_path, text):
    path = tmp_path / "seven.yaml"
    path.write_text(text)
    return read_cluster(path)


def test_the_template_can_be_used():
    cluster = read_cluster(TEMPLATE)
    assert cluster.hosts == {"gpu-1": 4, "gpu-2": 4}
    assert cluster.environment == {"FLOWPRESS_DATA": "/data"}
    assert (cluster.image, cluster.ssh_port, cluster.engine) == (None, None, "docker")
    assert cluster.num_slots == 8


def test_everything_may_be_said(tmp_path):
    cluster = read(
        tmp_path,
        "hosts: {10.0.0.2: 1}\nenvironment: {A: 1, B: x y}\nimage: flowpress\nengine: podman\n"
        "ssh_port: 2222\nssh_identity_file: ~/key\nnetwork_interface: eth1\n",
    )
    assert cluster == Cluster(
        hosts={"10.0.0.2": 1},
        environment={"A": "1", "B": "x y"},
        image="flowpress",
        engine="podman",
        ssh_port=2222,
        ssh_identity_file=str(pathlib.Path("~/key").expanduser()),
        network_interface="eth1",
    )


# Written out, the last of these lines is a list of 9 ** 12 numbers.
BOMB = "a0: &a0 [1]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 13)
) + "hosts: *a12"  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hosts: {a: 1}\nhost: b", "unknown key 'host'. Did you mean hosts?"),
        ("hosts: {a: 1}\n7: b", "unknown key 7. Known: engine"),
        ("image: x", "`hosts` is missing"),
        ("hosts: [a, b]", "`hosts` must be slots by host"),
        ("hosts: {}", "`hosts` must be slots by host"),
        ("hosts: {a: 0}", "slots of a must be a whole number of at least 1. Received: 0"),
        ("hosts: {a: true}", "slots of a must be a whole number"),
        ("hosts: {'a; rm -rf b': 1}", "is no host's name"),
        ("hosts: {'-oProxyCommand=x': 1}", "is no host's name"),
        ("hosts: {a: 1}\nenvironment: [x]", "`environment` must be values by variable"),
        ("hosts: {a: 1}\nenvironment: {'A B': x}", "'A B' is no variable's name"),
        ("hosts: {a: 1}\nenvironment: {A: [1]}", "A must be a text or a number"),
        ("hosts: {a: 1}\nssh_port: 0", "`ssh_port` must be a whole number from 1 to 65535"),
        ("hosts: {a: 1}\nengine: rkt", "`engine` must be docker or podman. Received: 'rkt'"),
        ("hosts: {a: 1}\nimage: --privileged", "`image` must be a text"),
        ("hosts: {a: 1", "is no YAML: "),
        ("hosts: {a: 1}\nhosts: {b: 1}", "`hosts` stands twice (line 2)"),
        ("hosts: {-v: 1}", "'-v' is no host's name"),
        (BOMB, "is used again by an alias (*). Write it out."),
        ("!!python/object/apply:os.system [ls]", "is no YAML: "),
        ("- a", "must have keys and values, such as `hosts:`. Received: list"),
        ("", "must have keys and values"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, message):
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_and_huge_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*Copy seven.yaml.template"):
        read_cluster(tmp_path / "seven.yaml")
    with pytest.raises(InputError, match=r"seven\.yaml.*1,048,576"):
        read(tmp_path, "#" * ((1 << 20) + 1))


def test_fewer_workers_than_slots_are_taken_from_the_front():
    cluster = Cluster(hosts={"a": 2, "b": 3, "c": 1})
    assert cluster.limited(None, "x") is cluster
    assert cluster.limited(2, "x").hosts == {"a": 2}
    assert cluster.limited(4, "x").hosts == {"a": 2, "b": 2}
    assert cluster.limited(6, "x").hosts == cluster.hosts


def test_more_workers_than_slots_are_refused():
    cluster = Cluster(hosts={"a": 2, "b": 3})
    with pytest.raises(InputError, match=r"-n=6: seven.yaml has 5 slots \(a: 2, b: 3\)\. Ask for"):
        cluster.limited(6, "seven.yaml")
    with pytest.raises(InputError, match=r"-n=0: the number of workers must be at least 1"):
        cluster.limited(0, "seven.yaml")
