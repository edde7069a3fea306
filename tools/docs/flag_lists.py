"""Write the lists of flags into the pages.

    python tools/docs/flag_lists.py            # rewrite what is out of date
    python tools/docs/flag_lists.py --check    # change nothing; fail where a page is

A page says where a list belongs by a pair of comments; what stands between them is made from the
config class:

    <!-- flags: learners.channel_pruning_rmt.config:ChannelPrunedRmtConfig -->
    <!-- /flags -->

`<!-- flags: learners.one.config:OneConfig beyond learners.two.config:TwoConfig -->` leaves out the
flags that are the same in the second class.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import sys
from collections.abc import Sequence

if not __package__:  # run as a script: the checkout takes this folder's place on the path
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2])

from learners import load_class
from tools.command import run_command
from utils.command import out
from utils.errors import InputError
from utils.files import atomic_path
from utils.flag_texts import markdown_list
from utils.flags import Parsed, flag

ROOT = pathlib.Path(__file__).resolve().parents[2]
_MARKED = re.compile(
    r"^(?P<begin><!-- flags: (?P<classes>.+?) -->\n).*?(?P<end>^<!-- /flags -->)", re.M | re.S
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlagListsConfig:
    """What to do."""

    check: bool = flag(False, "Change nothing; fail where a page is out of date.")


def pages() -> list[pathlib.Path]:
    """List the Markdown pages that may hold lists."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def updated(text: str) -> str:
    """Give a page's text with every list as the code has it now.

    Args:
        text: Markdown with pairs of comments as in the module's docstring.

    Returns:
        The text; only what stands between the comments differs.

    Raises:
        InputError: for a comment that names no config class.
    """
    return _MARKED.sub(
        lambda found: f"{found['begin']}\n{_list(found['classes'])}\n\n{found['end']}", text
    )


def _list(classes: str) -> str:
    wanted, _, known = classes.partition(" beyond ")
    rows = _rows(wanted)
    if known:
        rows = [row for row in rows if row not in _rows(known)]
    return "\n".join(rows)


def _rows(reference: str) -> list[str]:
    try:
        config_class = load_class(reference)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"<!-- flags: … --> must name a config class as module:Class. Received: {reference!r} "
            f"({error})."
        ) from error
    return markdown_list(config_class).splitlines()


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: the arguments, without the program's name.

    Returns:
        The exit status: 0, or 2 for bad input and for pages that `--check` found out of date.
    """
    return run_command(str(__doc__).strip(), lambda: [FlagListsConfig], _write_or_check, argv)


def _write_or_check(parsed: Parsed) -> None:
    texts = {page: page.read_text(encoding="utf-8") for page in pages()}
    stale = {page: updated(text) for page, text in texts.items() if updated(text) != text}
    names = ", ".join(str(page.relative_to(ROOT)) for page in stale)
    if stale and parsed.configs[FlagListsConfig].check:
        raise InputError(f"lists of flags out of date in {names}: run tools/docs/flag_lists.py.")
    for page, text in stale.items():
        with atomic_path(page) as temporary:
            temporary.write_text(text, encoding="utf-8")
    out.print(f"written: {names or 'nothing, all lists are up to date'}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
