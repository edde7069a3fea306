"""What one flag is: its declaration, and what it accepts. See `utils.flags`."""

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

from utils.errors import InputError
from utils.schema import brief

# More than any count or rate can mean; what would take memory or time declares less.
_LARGEST: Mapping[type, float] = {int: 10**9, float: 1e9}
_LONGEST_NAME, _LONGEST_PATH = 255, 3_800  # bytes, characters; files beside it have longer ones
_LONGEST = 32_768  # characters of a text; 32 KiB are more than a command line is ever given


@dataclasses.dataclass(frozen=True)
class FlagInfo:
    """What a field's flag carries besides its name, type and default.

    Attributes:
        help: one or two sentences.
        unit: of a number.
        lower: least value; `lower_open` excludes it.
        upper: greatest value; `upper_open` excludes it.
        choices: allowed strings.
        aliases: other spellings that mean the same.
        inert: why the flag is accepted but has no effect.
        hint: appended to a refusal.
        path: the value names a file or folder, or several separated by commas, so it is never
            empty; `~` is the home folder. A resumed run may change it: what lies there is compared
            instead.
        resumable: a resumed run may change the value, which does not decide what it computes.
        needs: (flag, what it brings): without that flag switched on this one has no effect.
        only_with: (flag, value): with another value of that flag this one has no effect.
        rivals: flags that say the same in another way; only one of them may be given.
        name: of the flag behind the prefix, where that is not the field's.

    In the names of other flags (`aliases`, `needs`, `only_with`) "{prefix}" stands for the prefix.
    """

    help: str
    unit: str = ""
    lower: float | None = None
    upper: float | None = None
    lower_open: bool = False
    upper_open: bool = False
    choices: tuple[str, ...] | None = None
    aliases: tuple[str, ...] = ()
    inert: str = ""
    hint: str = ""
    path: bool = False
    resumable: bool = False
    needs: tuple[str, str] | None = None
    only_with: tuple[str, str] | None = None
    rivals: tuple[str, ...] = ()
    name: str = ""

    def with_prefix(self, prefix: str) -> "FlagInfo":
        """Put the prefix into the names of other flags."""
        named = {
            field: None if pair is None else (pair[0].format(prefix=prefix), pair[1])
            for field, pair in (("needs", self.needs), ("only_with", self.only_with))
        }
        aliases = tuple(alias.format(prefix=prefix) for alias in self.aliases)
        return dataclasses.replace(self, aliases=aliases, **named)  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True)
class FlagSpec:
    """One flag: where it comes from and what it accepts."""

    name: str
    type: type
    optional: bool
    default: Any
    info: FlagInfo
    path: tuple[str, ...]  # attribute names from the outermost config to the field
    resumable: bool = False

    def allowed(self) -> str:
        """What is allowed, in words, e.g. `in [0, 1)`."""
        if self.info.choices:
            return "one of " + ", ".join(repr(choice) for choice in self.info.choices)
        if self.info.path:
            return "a path"
        low, high = self.info.lower, self.info.upper
        if low is None and high is None:
            return {bool: "True or False", int: "an integer", float: "a number", str: "a string"}[
                self.type
            ]
        left = "(" if self.info.lower_open or low is None else "["
        right = ")" if self.info.upper_open or high is None else "]"
        low_text = "-inf" if low is None else _number(low)
        high_text = "inf" if high is None else _number(high)
        return f"in {left}{low_text}, {high_text}{right}"

    def check(self, value: Any) -> None:
        """Raise `InputError` unless `value` is allowed."""
        if value is None and self.optional:
            return
        wanted: tuple[type, ...] = (int, float) if self.type is float else (self.type,)
        right_type = isinstance(value, wanted) and (
            self.type is bool or not isinstance(value, bool)
        )
        if not right_type or not self._inside(value):
            hint = f" {self.info.hint}" if self.info.hint else ""
            raise InputError(
                f"`{self.name}` must be {self.allowed()}. Received: {brief(value)}.{hint}"
            )
        if isinstance(value, str):
            self._check_text(value)
        most = _LARGEST.get(self.type)
        if most is None:
            return
        low = -most if self.info.lower is None else self.info.lower
        high = most if self.info.upper is None else self.info.upper
        if not low <= value <= high:
            raise InputError(
                f"`{self.name}` must be in [{_number(low)}, {_number(high)}]. Received: "
                f"{brief(value)}."
            )

    def _check_text(self, value: str) -> None:
        """Refuse what no file could be named, and no report could hold."""
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InputError(
                f"`{self.name}` must be UTF-8. Received: {ascii(value)[:80]}. Rename the file."
            ) from None
        if any(ord(character) < 32 or ord(character) == 127 for character in value):
            raise InputError(
                f"`{self.name}` must have no control characters. Received: {ascii(value)[:80]}."
            )
        names = re.split(r"[/,]", value) if self.info.path else []
        if any(len(name.encode()) > _LONGEST_NAME for name in names):
            raise InputError(
                f"`{self.name}` must be a path whose names have at most {_LONGEST_NAME} bytes. "
                f"Received: {brief(value)}. Give a shorter one."
            )
        if len(value) > (_LONGEST_PATH if self.info.path else _LONGEST):
            most = _LONGEST_PATH if self.info.path else _LONGEST
            raise InputError(
                f"`{self.name}` must have at most {most} characters. Received: {len(value)}."
            )

    def _inside(self, value: Any) -> bool:
        if self.info.choices is not None:
            return value in self.info.choices
        if isinstance(value, (bool, str)):
            return bool(value.strip() if isinstance(value, str) else True) or not self.info.path
        if not math.isfinite(value):
            return False
        low, high = self.info.lower, self.info.upper
        above = low is None or (value > low if self.info.lower_open else value >= low)
        below = high is None or (value < high if self.info.upper_open else value <= high)
        return above and below


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"
