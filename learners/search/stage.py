"""A searched stage of a run: roll-outs, then the winner against uniform, and the better one kept.

1. Roll-outs (`driver.py`) on networks whose layers are looked up in tables; every one on disk, the
   best so far as a setting file.
2. The winner and the uniform setting each become a network as the learner makes one from a given
   setting: channels selected anew, layer by layer; cut; fine-tuned, both alike.
3. The one with the better reward on held-out training images is kept. Neither the roll-outs saw
   them, nor, where the helper can hold images out, fine-tuning.
"""

import dataclasses
import math
import pathlib
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from learners.base import AbstractLearner
from learners.channels.budget import ChannelBudget
from learners.channels.problem import ChannelProblem, Scorer, least_load
from learners.channels.scoring import held_out_images
from learners.search.config import SearchConfig, default_agent
from learners.search.driver import Limits, SearchRun
from learners.search.journal import Journal, Trial
from learners.search.rewards import Score
from learners.setting import Setting
from rl_agents.base import Agent
from utils.command import notes
from utils.progress import WorkProgress
from utils.report import Candidate, Rollout, Search, this_machine
from utils.training import evaluate


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Tuned:
    """A setting and what became of it."""

    values: np.ndarray
    trial: Trial | None
    model: keras.Model
    learner: AbstractLearner
    held_out: float
    reward: float


class SearchedStage:
    """Runs a learner's search; see the module.

    Args:
        learner: whose search it is; another of its kind makes a network of each setting.
        make_budget: path where measurements are kept -> the budget.
        make_scorer: budget -> scorer; the tables are made here.
    """

    def __init__(
        self,
        learner: AbstractLearner,
        *,
        make_budget: Callable[[pathlib.Path], ChannelBudget],
        make_scorer: Callable[[], Scorer],
    ) -> None:
        self._learner = learner
        self._config: SearchConfig = learner.config.searching
        self._run = learner.context.run
        self._folder = search_folder(learner.context.stage.artefact_path)
        costs = self._folder / "search_costs.json"
        if not self._run.resume:
            costs.unlink(missing_ok=True)
        self._agent_name = self._run.agent or default_agent(self._config.reward_type)
        self._journal = Journal(self._folder, self._fingerprint(), resume=self._run.resume)
        self._budget = make_budget(costs)
        self._problem = ChannelProblem(self._budget, make_scorer, self._config)
        self._floor = least_load(self._config)
        self._images, self._held_out = held_out_images(
            learner.helper, self._config.nb_smpls_search, learner.config.nb_smpls, final=True
        )

    def run(self) -> keras.Model:
        """Search, compare, keep the better network; its facts go into the learner."""
        uniform = self._budget.uniform()
        with self._learner.timed("search"):
            best = self.search(uniform)
            uniform = self._budget.refined(uniform)
        tuned = {"uniform": self._tuned("uniform", uniform, None)}
        winner = None if best is None else self._refined_winner(best)
        if winner is not None and np.array_equal(winner, uniform):
            tuned["winner"] = dataclasses.replace(tuned["uniform"], trial=best)
            kept = "uniform"
        else:
            if winner is not None:
                tuned["winner"] = self._tuned("winner", winner, best)
            kept = max(tuned, key=lambda name: (tuned[name].reward, name == "winner"))
        self._report(tuned, kept)
        return tuned[kept].model

    def search(self, uniform: np.ndarray) -> Trial | None:
        """Make the roll-outs that are left; give the best of all, None where all failed."""
        limits = Limits(
            num_rollouts=self._config.nb_rlouts,
            min_rollouts=self._config.nb_rlouts_min,
            minutes=self._run.search_minutes,
        )

        def make_agent(env: Any) -> Agent:
            ddpg = {"config": self._run.ddpg} if self._agent_name == "ddpg" else {}
            return self._problem.agent(
                self._agent_name,
                env,
                initial=uniform,
                seed=self._run.seed,
                num_rollouts=self._config.nb_rlouts,
                **ddpg,
            )

        with WorkProgress("searching", "roll-outs") as progress:

            def on_trial(trial: Trial, best: Trial | None) -> None:
                if best is not None and best.index == trial.index:
                    self._save_setting(trial.choices, trial, trial.cost)
                shown = "" if best is None else f"best {best.reward:.4g} (roll-out {best.index})"
                progress.update(trial.index + 1, self._config.nb_rlouts, shown)

            run = SearchRun(
                self._problem,
                make_agent,
                self._journal,
                limits,
                seed=self._run.seed,
                on_trial=on_trial,
            )
            run.run()
        return run.best

    def _refined_winner(self, best: Trial) -> np.ndarray:
        """Move the winner until its file, measured, meets the budget."""
        values = np.array([best.choices[layer.name] for layer in self._budget.layers])
        return self._budget.refined(values, floor=self._floor)

    def _tuned(self, name: str, values: np.ndarray, trial: Trial | None) -> _Tuned:
        """Make, as the learner does, the network of a setting."""
        context, learner = self._learner.context, self._learner
        notes.print(f"{context.stage.learner}: the {name} setting, selected and fine-tuned anew")
        state = context.stage.state_path
        label = context.stage.learner if name == "winner" else f"{context.stage.learner}:{name}"
        # Another winner, of a search that was given more time, has a state of its own.
        number = zlib.crc32(",".join(map(str, values)).encode())
        stage = dataclasses.replace(
            context.stage,
            learner=label,
            state_path=state.with_stem(f"{state.stem}_{name}_{number:08x}"),
        )
        setting = self._setting(self._budget.counts(values))
        own = dataclasses.replace(context, stage=stage, setting=setting, holds_out=self._held_out)
        child = type(learner)(own, learner.model)
        model = child.train().model
        score = Score.of(evaluate(model, self._images, learner.helper))
        reward = self._problem.reward(score, values)
        return _Tuned(
            values=values,
            trial=trial,
            model=model,
            learner=child,
            held_out=score.value,
            reward=reward if math.isfinite(reward) else -math.inf,
        )

    def _report(self, tuned: Mapping[str, _Tuned], kept: str) -> None:
        """Hand the learner what the run's report says about the search."""
        learner, chosen = self._learner, tuned[kept]
        learner.layers = chosen.learner.layers
        for child in {id(each.learner): each.learner for each in tuned.values()}.values():
            learner.history += child.history
            for part, seconds in child.seconds.items():
                learner.seconds[part] = learner.seconds.get(part, 0.0) + seconds
        learner.notes += chosen.learner.notes + self._budget.remarks(
            chosen.values, floor=self._floor
        )
        learner.notes.append(self._verdict(tuned, kept))
        best, rollouts = None, []
        for trial in self._journal.trials:
            if trial.reward is not None:
                best = trial.reward if best is None else max(best, trial.reward)
            rollouts.append(
                Rollout(index=trial.index, reward=trial.reward, best=best, seconds=trial.seconds)
            )
        learner.search = Search(
            agent=self._agent_name,
            budget=self._run.budget or "",
            rollouts=tuple(rollouts),
            winner=self._candidate(tuned.get("winner")),
            uniform=self._candidate(tuned["uniform"]),
            kept=kept,
        )
        cost = self._budget.measured(chosen.values)
        self._save_setting(self._budget.counts(chosen.values), chosen.trial, cost)

    def _verdict(self, tuned: Mapping[str, _Tuned], kept: str) -> str:
        figures = ", ".join(f"{name} {each.held_out:.4f}" for name, each in tuned.items())
        where = (
            "held-out training images"
            if self._held_out
            else ("training images (the helper holds none out, so fine-tuning saw them)")
        )
        failed = sum(trial.reward is None for trial in self._journal.trials)
        return (
            f"search: {len(self._journal.trials)} roll-outs by {self._agent_name}, {failed} "
            f"failed; after the same fine-tuning, on {where}: {figures}; kept: {kept}."
        )

    def _candidate(self, tuned: _Tuned | None) -> Candidate | None:
        if tuned is None:
            return None
        helper = self._learner.helper
        scores = evaluate(tuned.model, None, helper)
        pairs = zip(self._budget.layers, tuned.values, strict=True)
        return Candidate(
            index=None if tuned.trial is None else tuned.trial.index,
            reward=self._rollout_reward(tuned),
            top1=scores.top1,
            setting={la.name: float(1.0 - value / la.choices[-1]) for la, value in pairs},
        )

    def _rollout_reward(self, tuned: _Tuned) -> float | None:
        """Reward in the search; None where what was tuned was moved to a measured budget since."""
        trial = tuned.trial or next(iter(self._journal.trials), None)  # uniform is the first
        keep = self._budget.counts(tuned.values)
        return trial.reward if trial is not None and trial.choices == keep else None

    def _setting(self, keep: Mapping[str, int], **facts: Any) -> Setting:
        sizes = {layer.name: layer.choices[-1] for layer in self._budget.layers}
        return Setting(quantity="channels", network=sizes, keep=dict(keep), facts=facts)

    def _save_setting(
        self, keep: Mapping[str, int], trial: Trial | None, cost: Mapping[str, float]
    ) -> None:
        scored = trial is not None and trial.choices == keep  # else it was moved to the budget
        setting = self._setting(
            keep,
            cost=dict(cost),
            reward=trial.reward if trial is not None and scored else None,
            accuracy=trial.accuracy if trial is not None and scored else None,
            rollout=None if trial is None else trial.index,
            budget=self._run.budget,
            agent=self._agent_name,
            seed=self._run.seed,
        )
        setting.save(self._folder / "ratios.json")

    def _fingerprint(self) -> dict[str, Any]:
        """What a continued search must share: flags, network, agent; for latency the machine."""
        values = {**self._learner.fingerprint(), "agent": self._agent_name}
        if "latency" in (self._run.budget or ""):
            values["machine"] = this_machine().to_dict()
        return values


def search_folder(artefact: pathlib.Path) -> pathlib.Path:
    """Say where a stage's search writes: beside its artefact, or, where that is one stage's among
    several, in a folder of its name.

    Example:
        >>> search_folder(pathlib.Path("runs/a/model.keras")).as_posix()
        'runs/a'
        >>> search_folder(pathlib.Path("runs/a/model_1_chn_pruned_rmt.keras")).as_posix()
        'runs/a/model_1_chn_pruned_rmt'
    """
    return artefact.parent if artefact.stem == "model" else artefact.with_suffix("")
