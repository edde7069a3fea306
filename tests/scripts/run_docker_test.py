"""The script with stand-ins for docker and podman that note how they are called."""

import os

import pytest

from tests.scripts.stand_ins import ROOT, checkout_with, run, stand_in

NETWORK = "nets/convnet_at_digits_run.py"
IMAGE_IS_THERE = 'if [ "$1" = image ]; then exit 0; fi\nprintf "%s\\n" "$0" "$@"'


@pytest.fixture
def place(tmp_path):
    """A checkout, stand-ins, and a folder of the user's."""
    checkout = checkout_with(tmp_path, "run_docker.sh")
    stand_in(tmp_path / "bin" / "docker", IMAGE_IS_THERE)
    mine = tmp_path / "my work"
    mine.mkdir()
    return checkout, tmp_path / "bin", mine


def called(place, *arguments, status=0, **variables):
    checkout, programs, mine = place
    done = run(
        checkout / "scripts" / "run_docker.sh",
        *arguments,
        programs=programs,
        cwd=mine,
        **{"FLOWPRESS_DATA": "", **variables},
    )
    assert done.returncode == status, done.stderr
    return done


def words(place, *arguments, **variables):
    return called(place, *arguments, **variables).stdout.splitlines()


def test_arguments_survive(place):
    flags = ["-n=2", "--learner=x", "--out_dir=a 'b' \"c\" $HOME *", "--empty=", "--x=ü"]
    received = words(place, NETWORK, *flags)
    assert received[0].endswith("bin/docker")
    assert received[1:3] == ["run", "--rm"]
    place_of_image = received.index("flowpress")
    assert received[place_of_image + 1 :] == ["/flowpress/scripts/run_local.sh", NETWORK, *flags]


def test_folder_data_and_named_files_are_mounted(place, tmp_path):
    _, _, mine = place
    data, weights = tmp_path / "the data", tmp_path / "weights"
    data.mkdir()
    weights.mkdir()
    (weights / "w.npz").write_bytes(b"")
    received = words(
        place,
        NETWORK,
        f"--pretrained_path={weights / 'w.npz'}",
        f"--out_dir={tmp_path / 'weights' / 'not' / 'yet'}",
        "--data_dir_local=relative/stays",
        FLOWPRESS_DATA=str(data),
    )
    volumes = [word.partition("=")[2] for word in received if word.startswith("--volume=")]
    expected = [mine, data, weights]  # a file by its folder: runs replace their files
    assert volumes == [f"{path}:{path}" for path in expected]
    assert f"--workdir={mine}" in received
    assert received[received.index("--env") + 1] == "HOME=/tmp"
    assert "FLOWPRESS_DATA" in received


def test_home_and_the_folder_above_are_where_they_were(place, tmp_path):
    """Home is another one in the container, and `..` begins at the current folder."""
    _, _, mine = place
    home, beside, third = tmp_path / "me", tmp_path / "beside", tmp_path / "third"
    for folder in (home, beside, third):
        folder.mkdir()
    (home / "a.keras").write_bytes(b"")
    flags = [f"--teacher_path=~/a.keras,~/b.keras,{third}/c.h5", "--out_dir=../beside/new"]
    received = words(place, NETWORK, *flags, HOME=str(home))
    volumes = [word.partition("=")[2] for word in received if word.startswith("--volume=")]
    assert volumes == [f"{path}:{path}" for path in (mine, home, third, beside)]
    assert received[-2:] == [
        f"--teacher_path={home}/a.keras,{home}/b.keras,{third}/c.h5",
        "--out_dir=../beside/new",
    ]


def test_what_is_written_is_the_users(place):
    assert f"--user={os.getuid()}:{os.getgid()}" in words(place, NETWORK)


def test_podman_will_do(place):
    checkout, programs, mine = place
    (programs / "docker").unlink()
    stand_in(programs / "podman", IMAGE_IS_THERE)
    for name in ("env", "bash", "dirname", "id", "sed"):  # the rest of the PATH may have a docker
        os.symlink(f"/usr/bin/{name}", programs / name)
    received = words(place, NETWORK, PATH=str(programs))
    assert received[0].endswith("bin/podman")
    assert not any(word.startswith("--user") for word in received)


def test_another_image(place):
    received = words(place, NETWORK, "--image=mine:1", "--learner=x")
    assert received[received.index("mine:1") + 2 :] == [NETWORK, "--learner=x"]


def test_the_image_is_built_where_it_is_missing(place):
    checkout, programs, _ = place
    stand_in(programs / "docker", 'printf "%s\\n" "$@"; [ "$1" != image ]')
    done = called(place, NETWORK)
    assert done.stderr.splitlines()[1:] == ["build", "--tag", "flowpress", str(checkout)]
    assert done.stdout.splitlines()[0] == "run"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage: "),
        (["--learner=x"], "error: no network is named."),
        ([NETWORK, "--image=nobodys"], "error: docker has no image nobodys. Pull or build it"),
    ],
)
def test_wrong_calls_are_refused(place, arguments, message):
    _, programs, _ = place
    stand_in(programs / "docker", '[ "$1" != image ]')
    done = called(place, *arguments, status=2)
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_without_an_engine_it_is_told(place):
    _, programs, _ = place
    (programs / "docker").unlink()
    for name in ("env", "bash", "dirname"):
        os.symlink(f"/usr/bin/{name}", programs / name)
    done = called(place, NETWORK, status=2, PATH=str(programs))
    assert done.stderr == (
        "error: neither docker nor podman is installed. Install one, or use scripts/run_local.sh.\n"
    )


def test_the_image_has_what_the_script_calls():
    recipe = (ROOT / "Dockerfile").read_text()
    assert "WORKDIR /flowpress" in recipe
    assert "scripts/install_horovod.sh" in recipe
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".venv", "runs", "path.conf"} <= set(ignored)
