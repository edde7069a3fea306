"""Measure the peer's rows that have no result yet: `python -m benchmarks.peers`."""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import multiprocessing
import os
import pathlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from benchmarks.peers import plan
from benchmarks.peers.checks import self_test
from benchmarks.peers.runs import MismatchError, Place, measure

_ROOT = plan.FOLDER.parents[1]
_BATCHES = "cifar-10-batches-bin"


def main(argv: Sequence[str]) -> int:
    """Measure, test or list, as the command line says.

    Args:
        argv: arguments without the program's name.

    Returns:
        0; 1 when the peer cannot be compared with ours; 2 for wrong arguments.
    """
    parser = _parser()
    flags = parser.parse_args(argv)
    weights = flags.weights or _root_of_data(parser, "--weights") / "weights"
    try:
        if flags.self_test:
            for line in self_test(weights):
                _say(line)
            return 0
        rows = [row for row in _rows(flags) if flags.again or not _known(row, flags.results)]
        _say(f"{len(rows)} rows to do; results: {flags.results}")
        if flags.list:
            for row in rows:
                _say(row.words())
            return 0
        device = flags.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        threads = max(1, (os.cpu_count() or 1) // flags.jobs) if flags.jobs > 1 else 0
        place = Place(flags.data or _folder_of_images(parser), weights, device, threads)
        _measure_all(rows, place, flags.jobs, flags.results)
    except MismatchError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _measure_all(
    rows: Sequence[plan.PeerRow], place: Place, jobs: int, results: pathlib.Path
) -> None:
    start = time.perf_counter()
    for done, (row, figures) in enumerate(_measured(rows, place, jobs), start=1):
        plan.keep_result(row, figures, results)
        after = ", ".join(f"{100 * top1:.2f}" for top1 in figures["after"])
        spent = time.perf_counter() - start
        _say(
            f"[{done}/{len(rows)}, {spent:.0f} s, about {spent / done * (len(rows) - done):.0f} s "
            f"to go] {row.words()}: before {100 * figures['before']:.2f}, after {after} "
            f"({figures['flops_kept']:.4f} of the FLOPs, {figures['seconds']:.0f} s)"
        )


def _measured(
    rows: Sequence[plan.PeerRow], place: Place, jobs: int
) -> Iterator[tuple[plan.PeerRow, dict[str, Any]]]:
    """Measure in this process, or several at a time in others; those that end first come first."""
    if jobs == 1:
        for row in rows:
            yield row, measure(row, place)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context) as pool:
        running = {pool.submit(measure, row, place): row for row in rows}
        with _cancelled_on_error(pool):
            for future in concurrent.futures.as_completed(running):
                yield running[future], future.result()


@contextlib.contextmanager
def _cancelled_on_error(pool: concurrent.futures.Executor) -> Iterator[None]:
    try:
        yield
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _rows(flags: argparse.Namespace) -> list[plan.PeerRow]:
    return plan.rows(
        epochs=flags.epochs,  # the cheapest first
        network=flags.networks,
        seed=flags.seeds,
        optimizer=flags.optimizers,
        rate=flags.rates,
        budget=flags.budgets,
        scope=flags.scopes,
        importance=flags.importances,
        distilled={"both": (False, True), "yes": (True,), "no": (False,)}[flags.distilled],
        batch_size=[flags.batch_size],
        held_out=[flags.held_out],
    )


def _known(row: plan.PeerRow, results: pathlib.Path) -> bool:
    return plan.is_measured(row, plan.load_results(results))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)

    def listed(name: str, kind: Any, default: Sequence[Any], known: Sequence[Any] = ()) -> None:
        def split(text: str) -> list[Any]:
            values = [kind(part) for part in text.split(",")]
            wrong = [value for value in values if known and value not in known]
            if wrong:
                raise argparse.ArgumentTypeError(f"{wrong[0]!r} is none of {', '.join(known)}")
            return values

        words = ",".join(str(value) for value in default)
        parser.add_argument(name, type=split, default=list(default), help=f"default: {words}")

    listed("--networks", str, tuple(plan.DENSE_TOP1), tuple(plan.DENSE_TOP1))
    listed("--budgets", str, plan.BUDGETS, plan.BUDGETS)
    listed("--importances", str, plan.IMPORTANCES, plan.IMPORTANCES)
    listed("--scopes", str, ("local",), plan.SCOPES)
    listed("--seeds", int, (0, 1, 2))
    listed("--epochs", int, (1, 3))
    listed("--rates", float, (0.02,))
    listed("--optimizers", str, ("sgd",), plan.OPTIMIZERS)
    parser.add_argument("--distilled", choices=("both", "yes", "no"), default="both")
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--held_out", action="store_true", help="score held-out training images")
    parser.add_argument("--device", default="auto", help="auto (a GPU if there is one), cpu, cuda")
    parser.add_argument("--jobs", type=int, default=1, help="rows at a time, for a GPU")
    parser.add_argument("--data", type=pathlib.Path, help="folder of CIFAR-10's .bin batches")
    parser.add_argument("--weights", type=pathlib.Path, help="folder of resnet20.npz, resnet56.npz")
    parser.add_argument("--results", type=pathlib.Path, default=plan.RESULTS)
    parser.add_argument("--again", action="store_true", help="also rows that have a result")
    parser.add_argument("--list", action="store_true", help="list the rows to do")
    parser.add_argument("--self_test", action="store_true", help="shapes and FLOPs, no images")
    return parser


def _root_of_data(parser: argparse.ArgumentParser, flag: str) -> pathlib.Path:
    setting = os.environ.get("FLOWPRESS_DATA")
    if not setting:
        parser.error(f"give {flag}, or set FLOWPRESS_DATA to the folder of the real data")
    return pathlib.Path(str(setting))


def _folder_of_images(parser: argparse.ArgumentParser) -> pathlib.Path:
    places = [_ROOT / ".cache" / _BATCHES]
    if os.environ.get("FLOWPRESS_DATA"):
        root = pathlib.Path(os.environ["FLOWPRESS_DATA"]) / "cifar10"
        places += [root, root / _BATCHES]
    for place in places:
        if (place / "test_batch.bin").is_file():
            return place
    parser.error(f"CIFAR-10's .bin batches are in none of {', '.join(map(str, places))}: --data=…")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
