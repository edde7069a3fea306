"""Layers chosen by parts of their names, as flags such as `--fp_skip_op_names` give them."""

from collections.abc import Iterable, Sequence

from utils.errors import InputError
from utils.flags import nearest


def name_parts(text: str | None) -> tuple[str, ...]:
    """Read parts of names separated by commas.

    Example:
        >>> name_parts(" conv1, ,fc"), name_parts(None)
        (('conv1', 'fc'), ())
    """
    parts = (part.strip() for part in (text or "").split(","))
    return tuple(part for part in parts if part)


def require_known(parts: Iterable[str], names: Sequence[str], *, source: str, which: str) -> None:
    """Refuse a part that is in no name.

    Args:
        parts: of names.
        names: of the layers that can be meant.
        source: the flag, for messages.
        which: describes these layers, for messages: `that has filters`.

    Raises:
        InputError: gives the nearest name and all.
    """
    for part in parts:
        if not any(part in name for name in names):
            raise InputError(
                f"{source}: no layer {which} has {part!r} in its name. {nearest(part, names)}"
            )
