"""Runs the benchmark rows that have no result yet: `python -m benchmarks [TOPIC …]`.

A topic is a module `benchmarks/<topic>_bench.py`; the file's name adds the topic. It has `ROWS`, a
sequence of `Row`, or a function `rows()` that returns one:

    from benchmarks import Context, Row, in_turns

    SOURCES = ("utils/graph", "nets")        # optional; see below

    def cut(context: Context) -> dict[str, object]:
        from utils.graph import shrink       # TensorFlow and the product: only inside the functions
        folder = context.data("weights")     # skips the row where the data are missing
        seconds = in_turns({"ours": …, "peer": …}, rounds=5)      # timed A B A B …
        ours, peer = (statistics.median(seconds[name]) for name in ("ours", "peer"))
        return {
            "seconds": ours,                 # figures: numbers, text or None; units in the names
            "ratio": ours / peer,
            "peer": {"seconds": peer},       # optional: the figures of what it is measured against
            "target": {"ratio": "<= 0.80"},  # optional: targets that depend on a measurement
        }

    ROWS = (
        Row(name="resnet20-half", run=cut, target={"seconds": "<= 2"}, about="cut ResNet-20 …"),
    )

Every row runs in a process of its own: it starts with an empty memory (its peak is added to the
figures as `peak_memory_mib`, which can have a target), and a crash takes nothing with it. A result
belongs to (topic, row, seed, machine, code), where *code* is a digest of the topic module and of
the Python files in its `SOURCES` (paths from the checkout's root; default `rows.DEFAULT_SOURCES`):
a row is measured anew when any of these changed, or with `--again`. Results are stored after every
row, so a stopped run goes on with the next row. Rows that cannot run here raise `SkipRow`
(`context.data` does) and are not recorded.
"""

from __future__ import annotations

import datetime
import json
import logging
import os
import pathlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.results import append_entry, has_result, load_entries, verdicts, write_tables
from benchmarks.rows import Row
from benchmarks.topics import Topic, code_digest, find_topics, load_topic
from utils.errors import InputError
from utils.report import library_versions, this_machine

FOLDER = pathlib.Path(__file__).parent
WORK_DIR = FOLDER.parent / "runs" / "bench"

_LOG = logging.getLogger("benchmarks")


class Runner:
    """Runs rows and keeps their results.

    Args:
        folder: holds the topic modules, `results.json` and `results.md`.
        work_dir: where rows may leave what they need to go on after a stop.
        seed: given to every row.
        again: also run rows that have a result.
    """

    def __init__(
        self,
        folder: pathlib.Path = FOLDER,
        *,
        work_dir: pathlib.Path = WORK_DIR,
        seed: int = 0,
        again: bool = False,
    ) -> None:
        self.work_dir = work_dir
        self.seed = seed
        self.again = again
        self.results = folder / "results.json"
        self.topics = find_topics(folder)

    def run(self, names: Sequence[str], row: str | None = None) -> int:
        """Run the rows of some topics that have no result yet, and render the tables.

        Args:
            names: topics; none means all.
            row: only the row of this name.

        Returns:
            Number of rows that failed; a topic that cannot be imported counts as one.

        Raises:
            InputError: for unknown topics or rows, and a results file that is none.
        """
        failed = 0
        for path in self._paths(names):
            try:
                topic = load_topic(path)
            except InputError:
                raise
            except Exception:  # whatever a module raises: the other topics go on
                _LOG.exception("%s: cannot be imported", path.name)
                failed += 1
                continue
            for each in topic.rows if row is None else (topic.row(row),):
                failed += self._run_unless_known(topic, each) == "failed"
        write_tables(self.results)
        _LOG.info("Tables: %s", self.results.with_suffix(".md"))
        return failed

    def list_rows(self, names: Sequence[str]) -> str:
        """Say for every row whether it has a result.

        Args:
            names: topics; none means all.

        Returns:
            One line per row.

        Raises:
            InputError: for unknown topics.
        """
        entries = load_entries(self.results)
        return "\n".join(
            f"{topic.name}/{row.name}: "
            f"{'measured' if has_result(entries, self.key(topic, row)) else 'to do'}"
            f"{'  ' + row.about if row.about else ''}"
            for topic in map(load_topic, self._paths(names))
            for row in topic.rows
        )

    def key(self, topic: Topic, row: Row) -> dict[str, Any]:
        """Say what a result of this row would belong to; see `results.KEY`."""
        return {
            "topic": topic.name,
            "row": row.name,
            "seed": self.seed,
            "machine": this_machine().to_dict(),
            "code": code_digest(topic, FOLDER.parent),
        }

    def _paths(self, names: Sequence[str]) -> list[pathlib.Path]:
        unknown = [name for name in names if name not in self.topics]
        if unknown:
            raise InputError(
                f"unknown topic: {', '.join(unknown)}. Topics: {', '.join(self.topics) or 'none'}. "
                "A file benchmarks/<topic>_bench.py adds one."
            )
        return [self.topics[name] for name in names or self.topics]

    def _run_unless_known(self, topic: Topic, row: Row) -> str:
        """Run a row if it has no result, and store what came of it; returns its status."""
        key = self.key(topic, row)
        label = f"{topic.name}/{row.name}"
        if not self.again and has_result(load_entries(self.results), key):
            _LOG.info("%s: has a result (--again measures it anew)", label)
            return "known"
        _LOG.info("%s: running", label)
        work_dir = self.work_dir / topic.name / f"{row.name}-{self.seed}-{key['code']}"
        if self.again:
            shutil.rmtree(work_dir, ignore_errors=True)
        outcome = _run_in_process(topic, row, self.seed, work_dir)
        if outcome["status"] == "skipped":
            _LOG.info("%s: skipped: %s", label, outcome["error"])
            return "skipped"
        entry = _entry(key, topic, row, outcome)
        append_entry(self.results, entry)
        if outcome["status"] == "ok":
            shutil.rmtree(work_dir, ignore_errors=True)
        _LOG.info("%s: %s", label, _in_words(entry))
        return str(outcome["status"])


def _run_in_process(topic: Topic, row: Row, seed: int, work_dir: pathlib.Path) -> dict[str, Any]:
    """Run one row in `benchmarks.worker` and read what came of it."""
    work_dir.mkdir(parents=True, exist_ok=True)
    outcome = work_dir / "outcome.json"
    outcome.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.worker", str(topic.path.resolve()), row.name]
    command += [str(seed), str(work_dir.resolve()), str(outcome.resolve())]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ}
    done = subprocess.run(command, cwd=FOLDER.parent, env=environment, check=False)
    if done.returncode == 0 and outcome.exists():
        return json.loads(outcome.read_text(encoding="utf-8"))
    return {"status": "failed", "error": _death(done.returncode), "seconds": 0.0}


def _death(status: int) -> str:
    if status == -signal.SIGKILL:
        return "the row's process was killed, as when memory runs out"
    if status < 0:
        return f"the row's process ended by {signal.Signals(-status).name}"
    return f"the row's process ended with status {status}"


def _entry(
    key: Mapping[str, Any], topic: Topic, row: Row, outcome: Mapping[str, Any]
) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC)
    return {
        **key,
        "title": topic.title,
        "about": row.about,
        "figures": {},
        "target": dict(row.target),
        "peer": {},
        **outcome,
        "versions": library_versions(),
        "date": now.isoformat(timespec="seconds"),
    }


def _in_words(entry: Mapping[str, Any]) -> str:
    if entry["status"] != "ok":
        return f"FAILED: {entry['error']}"
    figures = ", ".join(f"{name} {value}" for name, value in entry["figures"].items())
    missed = [name for name, met in verdicts(entry).items() if not met]
    targets = f" TARGET MISSED: {', '.join(missed)}" if missed else ""
    return f"{figures} ({entry['seconds']:.0f} s){targets}"
