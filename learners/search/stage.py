"""A searched stage of a run: roll-outs, then the winner against uniform, and the better one kept.

1. Roll-outs (`driver.py`) on a network whose weights are looked up in tables; every one on disk,
   the best so far as a setting file.
2. The winner and the uniform setting each become a network as the learner makes one from a given
   setting, fine-tuned, both alike.
3. The one with the better reward on held-out training images is kept. Neither the roll-outs saw
   them, nor, where the helper can hold images out, fine-tuning.
"""

import contextlib
import dataclasses
import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from learners.base import AbstractLearner, Trained
from learners.budget import KINDS
from learners.quantity import QUANTITIES
from learners.search.agents import AGENTS, default_agent, problem_agent
from learners.search.config import RolloutConfig
from learners.search.driver import Limits, SearchRun
from learners.search.environment import BudgetEnvironment
from learners.search.journal import Journal, Trial, search_folder
from learners.search.problem import Problem
from learners.search.rewards import Score
from learners.search.scoring import held_out_images
from rl_agents.base import Agent
from utils.command import notes
from utils.multi_gpu_wrapper import current
from utils.progress import WorkProgress
from utils.report import Candidate, Rollout, Search, this_machine
from utils.summaries import ScalarWriter, curve_folder
from utils.training import evaluate


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Tuned:
    """A setting and what became of it."""

    values: np.ndarray
    trial: Trial | None
    trained: Trained
    learner: AbstractLearner
    held_out: float
    reward: float


class SearchedStage:
    """Runs a learner's search; see the module.

    Args:
        learner: whose search it is; another of its kind makes a network of each setting.
        problem: what is searched.
    """

    def __init__(self, learner: AbstractLearner, problem: Problem) -> None:
        self._learner = learner
        self._problem = problem
        self._config: RolloutConfig = learner.config.searching
        self._run = learner.context.run
        self._folder = search_folder(learner.context.stage.artefact_path)
        self._agent_name = self._run.agent or default_agent(
            self._config.reward_type, self._config.AGENT
        )
        self._journal = Journal(self._folder, self._fingerprint(), resume=self._run.resume)
        self._images, self._held_out = held_out_images(
            learner.helper, self._config.nb_smpls_search, problem.num_sampled, final=True
        )

    def run(self) -> Trained:
        """Search, compare, keep the better network; its facts go into the learner."""
        with self._learner.timed("search"):
            best = self.search()
            uniform = self._problem.refined(self._problem.uniform())
        tuned = {"uniform": self._tuned("uniform", uniform, None)}
        winner = None if best is None else self._problem.refined(self._values(best))
        if winner is not None and np.array_equal(winner, uniform):
            tuned["winner"] = dataclasses.replace(tuned["uniform"], trial=best)
            kept = "uniform"
        else:
            if winner is not None:
                tuned["winner"] = self._tuned("winner", winner, best)
            kept = max(tuned, key=lambda name: (tuned[name].reward, name == "winner"))
            kept = current().from_chief(kept)
        self._report(tuned, kept)
        return tuned[kept].trained

    def search(self) -> Trial | None:
        """Make the roll-outs that are left; give the best of all, None where all failed."""
        done, planned = len(self._journal.trials), self._config.nb_rlouts
        limits = Limits(
            num_rollouts=planned,
            min_rollouts=self._config.nb_rlouts_min,
            minutes=self._run.search_minutes,
        )
        label = f"{self._learner.context.stage.learner}: search"
        curves = ScalarWriter(curve_folder(self._learner.context.log_dir, label))
        with (
            contextlib.closing(curves),
            WorkProgress("searching", "roll-outs", done=done) as progress,
        ):

            def on_trial(trial: Trial, best: Trial | None) -> None:
                curves.write(trial.index, _curves(trial, best))
                if best is not None and best.index == trial.index:
                    self._save_setting(self._values(trial), trial, trial.cost)
                progress.update(trial.index + 1, planned, _in_words(best))

            run = SearchRun(
                self._problem,
                self._agent,
                self._journal,
                limits,
                seed=self._run.seed,
                on_trial=on_trial,
            )
            if done:
                state = (
                    f"finished after {done} of {planned} roll-outs"
                    if run.is_over
                    else f"going on at roll-out {done} of {planned}"
                )
                self._say(f"the search by {self._agent_name} is {state}; {_in_words(run.best)}")
            run.run()
        return run.best

    def _agent(self, env: BudgetEnvironment) -> Agent:
        group = AGENTS[self._agent_name].config
        return problem_agent(
            self._agent_name,
            self._problem,
            env,
            initial=self._problem.uniform(),
            starts=self._problem.starts(),
            seed=self._run.seed,
            num_rollouts=self._config.nb_rlouts,
            config=None if group is None else getattr(self._run, group),
        )

    def _values(self, trial: Trial) -> np.ndarray:
        return np.array([trial.choices[layer.name] for layer in self._problem.layers])

    def _tuned(self, name: str, values: np.ndarray, trial: Trial | None) -> _Tuned:
        """Make, as the learner does, the network of a setting."""
        context, learner = self._learner.context, self._learner
        self._say(f"the {name} setting, selected and fine-tuned anew")
        state = context.stage.state_path
        label = context.stage.learner if name == "winner" else f"{context.stage.learner}:{name}"
        # Another winner, of a search that was given more time, has a state of its own.
        number = zlib.crc32(",".join(map(str, values)).encode())
        stage = dataclasses.replace(
            context.stage,
            learner=label,
            state_path=state.with_stem(f"{state.stem}_{name}_{number:08x}"),
        )
        setting = self._problem.setting(values)
        own = dataclasses.replace(context, stage=stage, setting=setting, holds_out=self._held_out)
        child = type(learner)(own, learner.model)
        trained = child.train()
        score = Score.of(evaluate(trained.scored, self._images, learner.helper))
        reward = self._problem.reward(score, values)
        return _Tuned(
            values=values,
            trial=trial,
            trained=trained,
            learner=child,
            held_out=score.value,
            reward=reward if math.isfinite(reward) else -math.inf,
        )

    def _report(self, tuned: Mapping[str, _Tuned], kept: str) -> None:
        """Hand the learner what the run's report says about the search."""
        learner, chosen = self._learner, tuned[kept]
        learner.layers, learner.teaching = chosen.learner.layers, chosen.learner.teaching
        for child in {id(each.learner): each.learner for each in tuned.values()}.values():
            learner.history += child.history
            for part, seconds in child.seconds.items():
                learner.seconds[part] = learner.seconds.get(part, 0.0) + seconds
        learner.notes += chosen.learner.notes + self._problem.remarks(chosen.values)
        verdict = self._verdict(tuned, kept)
        learner.notes.append(verdict)
        self._say(verdict)
        best, rollouts = None, []
        for trial in self._journal.trials:
            if trial.reward is not None:
                best = trial.reward if best is None else max(best, trial.reward)
            rollouts.append(
                Rollout(
                    index=trial.index,
                    reward=trial.reward,
                    best=best,
                    seconds=trial.seconds,
                    accuracy=trial.accuracy,
                    cost=trial.cost,
                )
            )
        learner.search = Search(
            agent=self._agent_name,
            quantity=self._problem.quantity,
            budget=self._problem.budget.text,
            rollouts=tuple(rollouts),
            winner=self._candidate(tuned.get("winner")),
            uniform=self._candidate(tuned["uniform"]),
            kept=kept,
        )
        cost = self._problem.measured(chosen.values)
        self._save_setting(chosen.values, chosen.trial, cost)

    def _say(self, sentence: str) -> None:
        notes.print(f"{self._learner.context.stage.learner}: {sentence}", markup=False)

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
        scores = evaluate(tuned.trained.scored, None, helper)
        trial = self._trial_of(tuned)
        return Candidate(
            index=None if tuned.trial is None else tuned.trial.index,
            reward=None if trial is None else trial.reward,
            cost={} if trial is None else trial.cost,
            top1=scores.top1,
            setting=self._shown(tuned.values),
        )

    def _shown(self, values: np.ndarray) -> dict[str, float]:
        """Give a candidate as the report shows it: fractions removed, or what each layer gets."""
        is_share = QUANTITIES[self._problem.quantity].most is None
        return {
            layer.name: float(1.0 - value / layer.choices[-1] if is_share else value)
            for layer, value in zip(self._problem.layers, values, strict=True)
        }

    def _trial_of(self, tuned: _Tuned) -> Trial | None:
        """Roll-out of what was tuned; None where that was moved to a measured budget since."""
        trial = tuned.trial or next(iter(self._journal.trials), None)  # uniform is the first
        if trial is None or not np.array_equal(self._values(trial), tuned.values):
            return None
        return trial

    def _save_setting(
        self, values: np.ndarray, trial: Trial | None, cost: Mapping[str, float]
    ) -> None:
        # What was moved to a measured budget since was not scored.
        scored = trial if trial and np.array_equal(self._values(trial), values) else None
        facts = {
            "cost": dict(cost),
            "reward": None if scored is None else scored.reward,
            "accuracy": None if scored is None else scored.accuracy,
            "rollout": None if trial is None else trial.index,
            "budget": self._problem.budget.text,
            "agent": self._agent_name,
            "seed": self._run.seed,
        }
        setting = dataclasses.replace(self._problem.setting(values), facts=facts)
        setting.save(self._folder / QUANTITIES[self._problem.quantity].file)

    def _fingerprint(self) -> dict[str, Any]:
        """What a continued search must share: flags, network, agent; with latency the machine."""
        values = {**self._learner.fingerprint(), "agent": self._agent_name}
        if any(KINDS[kind].of_machine for kind in self._problem.budget.kinds):
            values["machine"] = this_machine().to_dict()
        return values


def _curves(trial: Trial, best: Trial | None) -> dict[str, float | None]:
    """Give what TensorBoard shows of a roll-out; one that failed has no reward."""
    return {
        "reward": trial.reward,
        "best_reward": None if best is None else best.reward,
        "accuracy": trial.accuracy,
        "loss": trial.loss,
        "seconds": trial.seconds,
    }


def _in_words(best: Trial | None) -> str:
    if best is None:
        return "none has succeeded"
    return f"best {best.reward:.4g} (roll-out {best.index})"
