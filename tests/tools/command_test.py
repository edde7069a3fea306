import dataclasses

import pytest

from tools.command import run_command
from utils.errors import InputError
from utils.flags import flag


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    size: int = flag(3, "How large.", lower=1)
    old: int = flag(0, "A relic.", inert="nobody reads it.")


def run(argv, body=lambda parsed: None):
    return run_command("Does a thing.", lambda: [Config], body, argv)


def test_passes_the_flags():
    seen = []
    assert run(["--size=5"], lambda parsed: seen.append(parsed.configs[Config].size)) == 0
    assert seen == [5]


def test_help(capsys):
    assert run(["--help"], lambda parsed: pytest.fail("ran")) == 0
    text = capsys.readouterr().out
    assert "Does a thing." in text and "--size  How large. [default 3" in text


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--siez=5"], "error: Unknown flag --siez. Did you mean --size?"),
        (["--size=0"], "error: `size` must be in [1, inf). Received: 0."),
        (["5"], "error: Unexpected argument '5'"),
    ],
)
def test_wrong_flags(argv, message, capsys):
    assert run(argv) == 2
    assert capsys.readouterr().err.startswith(message)


def test_notices_and_refusals(capsys):
    def refuse(parsed):
        raise InputError("no such thing.")

    assert run(["--old=1"], refuse) == 2
    assert capsys.readouterr().err.splitlines() == [
        "note: --old has no effect: nobody reads it.",
        "error: no such thing.",
    ]


def test_classes_may_be_refused(capsys):
    def classes():
        raise InputError("unknown model helper.")

    assert run_command("", classes, lambda parsed: None, []) == 2
    assert capsys.readouterr().err == "error: unknown model helper.\n"
