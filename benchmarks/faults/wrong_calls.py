"""Command lines that are wrong, by the thousand, and a judge of what the command says to them.

Each is made from a right one by a mistake that people make, or that an attacker would: a number
out of bounds or of another kind, a path that cannot be, a flag of another learner, bytes that are
no text. The command must refuse it before TensorFlow is imported: one line on standard error,
nothing on standard output, status 2.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import pathlib
import random
from collections.abc import Callable, Iterator, Sequence
from unittest import mock

import learners
import nets
from learners.config import RunConfig
from pipeline import command
from utils import flags
from utils.flags import FlagSpec

_HELPER = "convnet_at_digits"
_NOT_NUMBERS = (
    "",
    "one",
    "1,5",
    "1 2",
    "nan",
    "inf",
    "-inf",
    "None",
    "--1",
    "0x",
    "1e",
    "٣x",
    "😀",
)
_TOO_LARGE = ("1e23", "1e400", "9" * 30, "-" + "9" * 30, str(2**63), "-1e300")
_NOT_SWITCHES = ("maybe", "2", "yess", "None", "0.5", "TRUE!", "😀")
_BUDGETS = (
    "", "flops", "flops:", "flops:x", "flops:2", "flops:-1", "flops:nan", "flops:1e400", "size:0.5",
    ":0.5", "flops:0.5,flops:0.4", "flops:0.5;bytes:1", "flops:0", ",", "flops=0.5", "💾:0.5",
)  # fmt: skip
_EPOCHS = ("-1", "nan", "inf", "1e9", "1,2,3", "1,,2", "x", "1e308", ",", "1;2")
_LEARNERS = (
    "",
    "chn",
    "full-prec,",
    "full-prec,,uniform",
    "Full Prec",
    "../x",
    "😀",
    "full-prec;x",
)
_HELPERS = ("", "resnet", "none.py", "nets", "..", "/dev/null", "/dev/zero.py", "😀.py", "a b.py")


_HUGE = ("1e23", str(2**31 - 1), "nan", "-1")


class AcceptedError(Exception):
    """The command would have begun the run."""


@dataclasses.dataclass(frozen=True)
class Call:
    """A wrong command line.

    Attributes:
        argv: the arguments.
        mistake: what is wrong with it, in words.
    """

    argv: tuple[str, ...]
    mistake: str


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What came of a call.

    Attributes:
        call: the call.
        fault: what is wrong with the answer; empty where it is one line and status 2.
        said: the answer.
    """

    call: Call
    fault: str
    said: str


def generate(count: int, folder: pathlib.Path, seed: int = 0) -> Iterator[Call]:
    """Make wrong calls.

    Args:
        count: how many.
        folder: an empty one that exists, for the paths in them.
        seed: equal seeds give equal calls.

    Yields:
        The calls; every one is wrong.
    """
    rng = random.Random(seed)
    (folder / "file").touch()
    with contextlib.suppress(FileExistsError):
        (folder / "nowhere").symlink_to(folder / "gone" / "further")
    makers = _makers()
    for number in range(count):
        name = rng.choice(list(learners.LEARNERS))
        # In turns, so that a few hundred have met every kind of mistake.
        mistake, maker = makers[number % len(makers)]
        arguments = maker(rng, name, folder)
        yield Call((f"--learner={name}", f"--out_dir={folder}/out", *arguments), mistake)


def generate_huge(folder: pathlib.Path) -> Iterator[Call]:
    """Give every numeric flag that there is values that are too large, too small and no number.

    Args:
        folder: for the paths in the calls.

    Yields:
        For each flag once, with a learner that has it, the calls that are wrong.
    """
    seen = set()
    for name in learners.LEARNERS:
        for spec in _numbers(name):
            if spec.name in seen:
                continue
            seen.add(spec.name)
            for value in _beyond(spec):
                arguments = (
                    f"--learner={name}",
                    f"--out_dir={folder}/out",
                    f"--{spec.name}={value}",
                )
                yield Call(arguments, "a huge number")


def _beyond(spec: FlagSpec) -> list[str]:
    """List the huge numbers that a flag's declaration excludes; what has no bound ends at 1e9."""
    lower, upper = spec.info.lower, spec.info.upper
    least, most = -1e9 if lower is None else lower, 1e9 if upper is None else upper
    return [text for text in _HUGE if not least <= float(text) <= most]


def judge(call: Call) -> Verdict:
    """Give a call to the command, in this process, and look at the answer.

    A call that is not refused is stopped where the run would own its folders.
    """
    out, err = io.StringIO(), io.StringIO()

    def accepted(plan: object) -> None:
        raise AcceptedError

    with (
        mock.patch.object(command, "own_folders", accepted),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        status = command.run(call.argv)
    lines = [line for line in err.getvalue().splitlines() if not line.startswith("note: ")]
    return Verdict(call, _fault(status, lines, out.getvalue()), err.getvalue().strip())


def _fault(status: int, lines: Sequence[str], printed: str) -> str:
    if any(AcceptedError.__name__ in line for line in lines):
        return "accepted"
    if status != 2:
        return f"status {status}"
    if len(lines) != 1:
        return f"{len(lines)} lines"
    if printed:
        return "something on standard output"
    if not lines[0].startswith("error: "):
        return "no error line"
    return "" if lines[0].isprintable() else "unprintable characters"


_Maker = Callable[[random.Random, str, pathlib.Path], list[str]]


def _makers() -> list[tuple[str, _Maker]]:
    def fixed(flag: str, values: Sequence[str]) -> _Maker:
        return lambda rng, name, folder: [f"--{flag}={rng.choice(values)}"]

    return [
        ("a number out of bounds", _out_of_bounds),
        ("no number", _no_number),
        ("a huge number", _huge_number),
        ("no switch", _no_switch),
        ("no such choice", _no_choice),
        ("a misspelled flag", _misspelled),
        ("a flag of another learner", _foreign),
        ("a path that cannot be", _bad_path),
        ("a lost value", _lost_value),
        ("an argument without a flag", _positional),
        ("a budget", fixed("budget", _BUDGETS)),
        ("a number of epochs", fixed("nb_epochs", _EPOCHS)),
        ("a learner", fixed("learner", _LEARNERS)),
        ("a helper", fixed("model_helper", _HELPERS)),
        ("absl's own flags", _absl),
        ("bytes that are no text", _bytes),
    ]


def _specs(name: str) -> list[FlagSpec]:
    helper = nets.load_helper_class(_HELPER).config_class
    classes = (RunConfig, helper, learners.config_class(name))
    return list({s.name: s for cls in classes for s in flags.describe(cls)}.values())


def _numbers(name: str) -> list[FlagSpec]:
    return [spec for spec in _specs(name) if spec.type in (int, float)]


def _out_of_bounds(rng: random.Random, name: str, folder: pathlib.Path) -> list[str]:
    spec = rng.choice(_numbers(name))
    values = list(_TOO_LARGE)
    for bound, away, is_open in (
        (spec.info.lower, -1, spec.info.lower_open),
        (spec.info.upper, 1, spec.info.upper_open),
    ):
        if bound is not None:
            beyond = [bound + away * step for step in (1, 7, 1000)]
            values += [str(spec.type(value)) for value in [*beyond, *([bound] if is_open else [])]]
    return [f"--{spec.name}={rng.choice(values)}"]


def _huge_number(rng: random.Random, name: str, folder: pathlib.Path) -> list[str]:
    spec = rng.choice(_numbers(name))
    return [f"--{spec.name}={rng.choice(_beyond(spec))}"]


def _no_number(rng: random.Random, name: str, folder: pathlib.Path) -> list[str]:
    spec = rng.choice(_numbers(name))
    return [f"--{spec.name}={rng.choice(_NOT_NUMBERS)}"]


def _no_switch(rng: random.Random, name: str, folder: pathlib.Path) -> list[str]:
    spec = rng.choice([spec for spec in _specs(name) if spec.type is bool])
    return [f"--{rng.choice(['', 'no'])}{spec.name}={rng.choice(_NOT_SWITCHES)}"]


def _no_choice(rng: random.Random, name: str, folder: pathlib.Path) -> list[str]:
    spec = rng.choice([spec for spec in _specs(name) if spec.info.choices])
    wrong = [str(choice) + "x" for choice in spec.info.choices or ()]
    return [f"--{spec.name}={rng.choice([*wrong, '', ' ', 'None', '😀', 'a' * 500])}"]


def _misspelled(rng: random.Random, name: str, folder: pathlib.Path) -> list[str]:
    known = {spec.name for spec in _specs(name)}
    known |= {alias for spec in _specs(name) for alias in spec.info.aliases}
    while True:
        letters = list(rng.choice(sorted(known)))
        for _ in range(rng.randint(1, 2)):
            place = rng.randrange(len(letters))
            letters[place] = rng.choice(["", "x", "_", "Z", letters[place] * 2])
        made = "".join(letters)
        # A leading "no" switches off.
        if made.strip("-") and not {made, made.removeprefix("no")} & known:
            return [f"--{made}={rng.choice(['1', 'True', 'x', ''])}"]


def _foreign(rng: random.Random, name: str, folder: pathlib.Path) -> list[str]:
    known = {spec.name for spec in _specs(name)}
    known |= {alias for spec in _specs(name) for alias in spec.info.aliases}
    others = sorted({s.name for n in learners.LEARNERS for s in _specs(n)} - known)
    return [f"--{rng.choice(others)}=1"]


def _bad_path(rng: random.Random, name: str, folder: pathlib.Path) -> list[str]:
    place = rng.choice(
        [
            "",
            " ",
            f"{folder}/file/inside",
            f"{folder}/nowhere/inside",
            f"{folder}/{'n' * 300}",
            f"{folder}/{'ü' * 200}/x",
            "/proc/none/x",
            "/dev/null/x",
            f"{folder}/a\nb",
            f"{folder}/\x1b[31m",
            "/".join([str(folder), *["d" * 200] * 22]),
        ]
    )
    if place.strip() and rng.random() < 0.5:
        return [f"--save_path_eval={place}.keras", f"--save_path={folder}/other.keras"]
    return [f"--out_dir={place}"]


def _lost_value(rng: random.Random, name: str, folder: pathlib.Path) -> list[str]:
    spec = rng.choice([spec for spec in _specs(name) if spec.type is not bool])
    return [f"--{spec.name}", *rng.choice([[], ["--debug=False"]])]


def _positional(rng: random.Random, name: str, folder: pathlib.Path) -> list[str]:
    return [rng.choice(["full-prec", "x=1", "—seed=1", "-", "0.5", "😀", "seed=4", "\u200b"])]


def _absl(rng: random.Random, name: str, folder: pathlib.Path) -> list[str]:
    return rng.choice(
        [
            ["--undefok=xyzzy", "--xyzzy=1"],
            ["--undefok", "xyzzy"],
            [f"--flagfile={folder}/none.flags"],
            [f"--flagfile={folder}"],
            ["--flagfile=/dev/zero"],
            ["--noresume=1"],
            ["--nonsense"],
            ["---seed=1", "--x"],
            ["--=1"],
        ]
    )


def _bytes(rng: random.Random, name: str, folder: pathlib.Path) -> list[str]:
    flag = rng.choice(["out_dir", "save_path", "pretrained_path", "model_helper", "nb_epochs", "x"])
    return [f"--{flag}={rng.choice([chr(0xDCFF), 'a' + chr(0xDC80) + '.keras', chr(0xD800)])}"]
