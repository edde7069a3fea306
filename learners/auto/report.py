"""What a run's report says of the hunt, and the setting file of its winner."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from learners.auto.joint import Joint, to_setting
from learners.auto.offers import DENSE
from learners.auto.places import Places
from learners.auto.record import Trial
from learners.auto.search import TUNED, Search
from learners.auto.workshop import Candidate
from learners.quantity import QUANTITIES
from learners.setting import Setting
from utils import report as reports

QUANTITY = "joint"
_WORDS = {"channels": "channels alone", "zeros": "zeros alone", "bits": "bits alone"}


def compared_rows(search: Search, winner: Candidate) -> tuple[reports.Compared, ...]:
    """Give the joint choice, what each way alone reaches at its bytes, and which of them won."""
    together, kept = search.together or winner.trial, winner.trial
    label = TUNED if together.label == TUNED else "together"
    return (
        _row(search, together, label, kept=together is kept),
        *(
            _row(search, trial, _WORDS[way], kept=trial is kept)
            for way, trial in search.compared.items()
        ),
    )


def _row(search: Search, trial: Trial, label: str, *, kept: bool = False) -> reports.Compared:
    return reports.Compared(
        label=label,
        accuracy=_accuracy(search, trial),
        drop=trial.drop,
        cost={"bytes": float(trial.num_bytes)},
        kept=kept,
    )


def _accuracy(search: Search, trial: Trial) -> float | None:
    deciding = search.workshop.judge.file.before.deciding
    return trial.value if deciding.is_share and 0.0 <= trial.value <= 1.0 else None


def make_search(
    search: Search, winner: Candidate, rows: Sequence[reports.Compared], goal: str
) -> reports.Search:
    """Describe the hunt for the report.

    Args:
        search: after it.
        winner: what it found.
        rows: see `compared_rows`.
        goal: what was wanted, in words.
    """
    merit = search.workshop.judge.file.before.deciding.merit
    trials = [candidate.trial for candidate in (*search.candidates, *search.tuned)]
    made = {(each.label, each.drop, *sorted(each.values.items())): each for each in trials}
    best, rollouts = None, []
    for index, trial in enumerate(made.values()):  # one may have been the best of several sizes
        reward = merit(trial.value)
        best = reward if best is None else max(best, reward)
        rollouts.append(
            reports.Rollout(
                index=index,
                reward=reward,
                best=best,
                seconds=trial.seconds,
                accuracy=_accuracy(search, trial),
                cost={"bytes": float(trial.num_bytes)},
            )
        )
    return reports.Search(
        agent="dynamic programme",
        quantity=QUANTITY,
        budget=goal,
        rollouts=tuple(rollouts),
        winner=reports.Candidate(
            setting=bits_left(winner, search.workshop.places),
            cost={"bytes": float(winner.trial.num_bytes)},
        ),
        kept="winner",
        compared=tuple(rows),
        deflated=search.workshop.offer.deflated,
        scales=search.scales,
    )


def bits_left(winner: Candidate, places: Places) -> dict[str, float]:
    """Say how many bits are left for each weight that a layer had, by layer name."""
    left = {} if winner.built is None else {layer.name: layer.size for layer in winner.built.layers}
    found = {}
    for layer in places.layers:
        option = winner.joint.options[layer.name]
        share = left.get(layer.name, layer.size) / layer.size
        found[layer.name] = option.bits * option.percent / 100 * share
    return found


def facts(winner: Candidate, places: Places) -> dict[str, dict[str, Any]]:
    """Say for the report what each layer got."""
    found: dict[str, dict[str, Any]] = {}
    for layer in places.layers:
        option = winner.joint.options[layer.name]
        own: dict[str, Any] = {"bits": option.bits, "granularity": "output channel"}
        if option.pattern != DENSE:
            own["percent"] = option.percent
        if winner.built is not None and layer.name in winner.built.errors:
            own["error"] = winner.built.errors[layer.name]
        found[layer.layer] = own
    return found


def save_setting(
    joint: Joint,
    places: Places,
    folder: pathlib.Path,
    facts_of: Mapping[str, Any],
) -> pathlib.Path:
    """Write the choice as a file that `--setting` reads.

    Args:
        joint: the choice.
        places: what it is of.
        folder: where.
        facts_of: further entries: cost, budget, seed …

    Returns:
        The file.
    """
    setting = to_setting(joint, places.groups, places.layers)
    path = folder / QUANTITIES[QUANTITY].file
    Setting(
        quantity=setting.quantity,
        network=setting.network,
        values=setting.values,
        facts=dict(facts_of),
    ).save(path)
    return path
