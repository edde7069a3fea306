"""What an exception means, in one line: the innermost sentence, and where in whose code it arose.

TensorFlow and Keras wrap what the user's code raises: "in user code:" with the calls line by line,
"Graph execution error:" with a stack, a traceback within a traceback. The line that matters is
inside. TensorFlow is never imported here.
"""

import contextlib
import itertools
import pathlib
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from utils.errors import InputError

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_HELPERS = "user_helper_"  # how modules loaded from a user's file are named, see `nets`
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
_MADE_UP = re.compile(r"^<(?!ipython)|__autograph_generated_file|^None$")
_FILE = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)')
_TYPED = re.compile(r"^(?P<type>[A-Za-z_][\w.]*)(?:: (?P<rest>.*))?$")
_KERAS_CALL = re.compile(
    r"Exception encountered when calling .*?\n\n(?P<inner>.*?)(?:\n\nArguments received by|$)", re.S
)
_NOISE = re.compile(
    r"\x1b\[\d*m|for '\{\{node .*?(?=with input shapes)|\{\{.*?\}\}|\[Op:.*?\]|\s*name:\s*$"
)


class Place(NamedTuple):
    """A line of a source file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{pathlib.Path(self.file).name}, line {self.line}"


@contextlib.contextmanager
def blaming(part: str) -> Iterator[None]:
    """Turn any exception inside into an `InputError` that names the part it comes from.

    Args:
        part: e.g. `ModelHelper.forward`, the subject of the sentence.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # whatever the user's code raises
        raise InputError(f"{part} failed: {explanation(error)}") from error


def explanation(error: BaseException) -> str:
    """Say what happened and, where it was in the user's code, in which line; ends a message."""
    place = user_place(error)
    where = "" if place is None else f"{place}; "
    return f"{essence(error)} ({where}traceback: --debug)"


def essence(error: BaseException) -> str:
    r"""Find the sentence of an exception's text that says what happened, with its type.

    Example:
        >>> essence(KeyError("colour"))
        "KeyError: 'colour'."
        >>> essence(ValueError('in user code:\n\n  File "a.py", line 3\n\n  TypeError: small\n'))
        'TypeError: small.'
    """
    kind, text = type(error).__name__, str(error)
    for _ in range(8):  # wrapped in one another
        inner = _unwrapped(text)
        if inner is None:
            break
        kind, text = inner[0] or kind, inner[1]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = lines[0] if lines else "no message"
    for line, after in itertools.pairwise(lines):
        if after.startswith("[[{{node"):
            found = line
    return f"{kind}: {_NOISE.sub('', found).strip().rstrip('.')}."


def _unwrapped(text: str) -> tuple[str, str] | None:
    """Take one wrapping off: (type of what is inside where it is named, its text)."""
    if text.lstrip().startswith("in user code:") or "Traceback (most recent call last):" in text:
        return _typed(_behind_calls(text))
    keras_call = _KERAS_CALL.search(text)
    if keras_call is not None:
        return "", keras_call["inner"]
    _, found, inner = text.partition("Error encountered:\n")
    return ("", inner) if found else None


def _behind_calls(text: str) -> str:
    """Cut off the list of calls: what follows the last `File "…", line …` and its source lines."""
    lines = text.splitlines()
    last = max((i for i, line in enumerate(lines) if _FILE.match(line)), default=0)
    blank = next((i for i, line in enumerate(lines[last:], last) if not line.strip()), last)
    return "\n".join(line.strip() for line in lines[blank:]).strip()


def _typed(text: str) -> tuple[str, str]:
    first, _, rest = text.partition("\n")
    typed = _TYPED.match(first)
    if typed is None:
        return "", text
    return typed["type"].rpartition(".")[2], f"{typed['rest'] or ''}\n{rest}"


def user_place(error: BaseException) -> Place | None:
    """Find the innermost line of the user's code that an exception passed through.

    Args:
        error: as it was caught. Calls listed in its text count before its own traceback, which
            knows no line of a function that TensorFlow compiled.

    Returns:
        The line; None where the user's code has no part in it, or called us and no more.
    """
    listed = (_FILE.match(line) for line in str(error).splitlines())
    told = [Place(found["file"], int(found["line"])) for found in listed if found]
    return _innermost_of_users(told) or _innermost_of_users(_frames(error))


def own_place(error: BaseException) -> Place | None:
    """Find the innermost line of Flowpress that an exception passed through."""
    own = [place for place in _frames(error) if _is_own(place.file)]
    return own[-1] if own else None


def _frames(error: BaseException) -> list[Place]:
    frames = traceback.extract_tb(error.__traceback__)
    return [Place(frame.filename, frame.lineno or 0) for frame in frames]


def _innermost_of_users(places: Iterable[Place]) -> Place | None:
    """Give the last place in a user's file; those that only lead to us do not count."""
    found, called = None, None
    for place in places:
        if _is_own(place.file):
            called = called or place
        elif not _is_library(place.file):
            found = place
            continue
        if called is place:  # all before was the script that called us
            found = None
    return found


def is_users(file: str) -> bool:
    """Whether a source file is the user's: neither a library's nor one of Flowpress' own."""
    return not _is_library(file) and not _is_own(file)


def _is_library(file: str) -> bool:
    if _MADE_UP.search(file) or "site-packages" in file:
        return True
    return file.startswith(_LIBRARIES)


def _is_own(file: str) -> bool:
    """Tell Flowpress' own code from a user's, who may keep a helper in the checkout."""
    path = pathlib.Path(file)
    if _is_library(file) or not path.is_relative_to(_ROOT) or len(path.parts) <= len(_ROOT.parts):
        return False
    helpers = (m for name, m in list(sys.modules.items()) if name.startswith(_HELPERS))
    if any(getattr(module, "__file__", None) == file for module in helpers):
        return False
    inside = path.relative_to(_ROOT)
    top = inside.parts[0]
    known = ("main.py", "flowpress.py", "tests")
    return top in known or (_ROOT / top / "__init__.py").is_file()
