"""The results on disk: `results.json`, which only grows, and the tables made of it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.peer_results import render_peers
from benchmarks.peers.plan import load_results
from benchmarks.recorded import RECORDED
from benchmarks.rows import parse_target
from utils.errors import InputError
from utils.files import atomic_path

#: What a result belongs to; an equal key means that the row need not run again.
KEY = ("topic", "row", "seed", "machine", "code")

Entry = Mapping[str, Any]


def load_entries(path: pathlib.Path) -> list[dict[str, Any]]:
    """Read the entries of a results file, oldest first.

    Args:
        path: `results.json`; a missing file has no entries.

    Raises:
        InputError: if the file is not of this kind.
    """
    if not path.exists():
        return []
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["rows"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is no results file ({type(error).__name__}: {error}). Restore it from git, or "
            "move it away to begin a new one."
        ) from error


def append_entry(path: pathlib.Path, entry: Entry) -> None:
    """Add an entry; the file is replaced whole, and two runs at a time do not lose each other's.

    Args:
        path: `results.json`.
        entry: what came of a row.
    """
    with _locked(path.parent):
        document = {"recorded": RECORDED, "rows": [*load_entries(path), dict(entry)]}
        with atomic_path(path) as temporary:
            text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
            temporary.write_text(text + "\n", encoding="utf-8")


def write_tables(path: pathlib.Path) -> None:
    """Render `results.md` from `results.json` and `peers/results.json` beside it.

    Args:
        path: `results.json`.
    """
    with _locked(path.parent), atomic_path(path.with_suffix(".md")) as temporary:
        peers = load_results(path.parent / "peers" / "results.json")
        temporary.write_text(render_tables(load_entries(path), peers), encoding="utf-8")


@contextlib.contextmanager
def _locked(folder: pathlib.Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def has_result(entries: Sequence[Entry], key: Mapping[str, object]) -> bool:
    """Tell whether a row was measured under this key (see `KEY`); a failed one was not."""
    return any(
        entry["status"] == "ok" and all(entry[name] == key[name] for name in KEY)
        for entry in entries
    )


def latest(entries: Sequence[Entry]) -> dict[str, dict[str, Entry]]:
    """Take the latest entry of each row.

    Args:
        entries: oldest first.

    Returns:
        Entry by row, by topic; topics sorted, rows in the order of their first entry.
    """
    topics: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        topics.setdefault(entry["topic"], {})[entry["row"]] = entry
    return dict(sorted(topics.items()))


def verdicts(entry: Entry) -> dict[str, bool]:
    """Tell for each target of an entry whether it was met; a failed row met none."""
    if entry["status"] != "ok":
        return dict.fromkeys(entry["target"], False)
    return {name: _meets(entry["figures"][name], text) for name, text in entry["target"].items()}


def _meets(figure: object, target: str) -> bool:
    return isinstance(figure, int | float) and parse_target(target)(figure)


def render_tables(entries: Sequence[Entry], peers: Sequence[Mapping[str, Any]] = ()) -> str:
    """Make the page of results.

    Args:
        entries: oldest first; of each row the latest is shown.
        peers: rows of `peers/results.json`.

    Returns:
        Markdown.

    Example:
        >>> print(render_tables([]).splitlines()[0])
        # Benchmark results
    """
    lines = [
        "# Benchmark results",
        "",
        "Written by `make bench` from `results.json`; how to read and repeat it: "
        "`docs/benchmarks.md`.",
        "",
    ]
    topics = latest(entries)
    shown = [entry for rows in topics.values() for entry in rows.values()]
    lines += _summary(shown)
    for name, rows in topics.items():
        title = list(rows.values())[-1]["title"]
        lines += ["", f"## {name}", "", _cell(title), ""]
        lines += [
            "| row | figure | measured | target | verdict | peer |",
            "|---|---|---|---|---|---|",
        ]
        for entry in rows.values():
            lines += _row_lines(entry)
        lines += ["", *(_circumstances(entry) for entry in rows.values())]
    lines += render_peers(peers)
    lines += ["", "## Recorded figures of the original framework", ""]
    lines += [
        "It needs TensorFlow 1.13.2 and Python 3.7 and cannot run beside Flowpress: these figures "
        "were taken once, on a 2-core machine.",
        "",
        "| topic | what | figure | value |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {item['topic']} | {item['what']} | {item['figure']} | {_value(item['value'])} |"
        for item in RECORDED
    ]
    return "\n".join(lines) + "\n"


def _summary(entries: Sequence[Entry]) -> list[str]:
    """Targets met and missed, and failed rows, in words."""
    failed = [entry for entry in entries if entry["status"] != "ok"]
    judged = [
        (entry, name, met)
        for entry in entries
        if entry["status"] == "ok"
        for name, met in verdicts(entry).items()
    ]
    missed = [
        f"- {entry['topic']}/{entry['row']}: `{name}` is {_value(entry['figures'][name])}, "
        f"wanted {entry['target'][name]}."
        for entry, name, met in judged
        if not met
    ]
    lines = [f"**Targets: {len(judged) - len(missed)} met, {len(missed)} missed; ", *missed]
    lines[0] += f"rows failed: {len(failed)}.**"
    lines += [
        f"- {entry['topic']}/{entry['row']} failed: {_cell(entry['error'])}" for entry in failed
    ]
    return [lines[0], *([""] if len(lines) > 1 else []), *lines[1:]]


def _row_lines(entry: Entry) -> list[str]:
    if entry["status"] != "ok":
        wanted = "; ".join(f"{name} {text}" for name, text in entry["target"].items())
        return [f"| {entry['row']} | | failed | {_cell(wanted)} | **failed** | |"]
    met = verdicts(entry)
    words = {True: "met", False: "**missed**"}
    return [
        f"| {'' if position else entry['row']} | {name} | {_value(value)} "
        f"| {_cell(entry['target'].get(name, ''))} | {words[met[name]] if name in met else ''} "
        f"| {_value(entry['peer'][name]) if name in entry['peer'] else ''} |"
        for position, (name, value) in enumerate(entry["figures"].items())
    ]


def _circumstances(entry: Entry) -> str:
    machine = entry["machine"]
    about = f"{_cell(entry['about'])} " if entry["about"] else ""
    return (
        f"- `{entry['row']}`: {about}Measured {entry['date']} in {entry['seconds']:.0f} s, seed "
        f"{entry['seed']}, on {_cell(machine['cpu'])}, {machine['cores']} cores, TensorFlow "
        f"{entry['versions'].get('tensorflow', '?')}, code {entry['code']}."
    )


def _value(value: object) -> str:
    """Write a figure as text: numbers to five digits, thousands apart."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1e5 else f"{value:.5g}"
    if isinstance(value, list):
        return ", ".join(_value(entry) for entry in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_value(entry)}" for name, entry in value.items())
    return "" if value is None else _cell(str(value))


def _cell(text: str) -> str:
    """Text that cannot end a table's cell or line."""
    return " ".join(text.split()).replace("|", "\\|")
