"""The search itself: ask an agent for a candidate, score it, tell the agent, write it down."""

import dataclasses
import math
import time
from collections.abc import Callable

import numpy as np

from learners.search.environment import BudgetEnvironment
from learners.search.failing import raise_if_alone
from learners.search.journal import Journal, Trial
from learners.search.problem import Problem
from learners.search.rewards import Score
from rl_agents.base import Agent
from utils.multi_gpu_wrapper import current

MAX_FAILURES = 20  # a search whose first roll-outs all fail, this many, has nothing to find


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """When a search ends.

    Attributes:
        num_rollouts: roll-outs at most.
        min_rollouts: roll-outs at least, before it may end for lack of progress.
        minutes: time at most, over all sessions of a resumed search; None without limit.
    """

    num_rollouts: int
    min_rollouts: int = 1
    minutes: float | None = None


class SearchRun:
    """A search, new or continued.

    Args:
        problem: what is searched.
        make_agent: makes the agent for an environment, as it is before its first roll-out.
        journal: where roll-outs are written; those in it are not made again.
        limits: when to end.
        seed: written with every roll-out.
        on_trial: called with each new roll-out and the best so far.
    """

    def __init__(
        self,
        problem: Problem,
        make_agent: Callable[[BudgetEnvironment], Agent],
        journal: Journal,
        limits: Limits,
        *,
        seed: int = 0,
        on_trial: Callable[[Trial, Trial | None], None] = lambda trial, best: None,
    ) -> None:
        self._problem = problem
        self._make_agent = make_agent
        self._journal = journal
        self._limits = limits
        self._seed = seed
        self._on_trial = on_trial
        self._env = BudgetEnvironment(problem.layers, problem.load, floor=problem.floor)
        self._scores: dict[tuple[int, ...], Score] = {}

    @property
    def best(self) -> Trial | None:
        """The best roll-out so far, the earliest of equals; None while all have failed."""
        done = [trial for trial in self._journal.trials if trial.reward is not None]
        return max(done, key=lambda trial: trial.rank) if done else None

    def run(self) -> list[Trial]:
        """Make the roll-outs that are left.

        Returns:
            All roll-outs, those of earlier sessions included.
        """
        if self.is_over:  # without an agent, whose first candidates may take tables
            return self._journal.trials
        agent = self._restored_agent()
        while not self.is_over:
            start = time.perf_counter()
            agent.ask(self._env)
            values = self._env.settled()
            trial = _shared(self._trial(values, start))
            self._journal.append(trial)
            agent.tell(np.array(trial.actions), _told(trial))
            self._journal.save_agent(agent.state_dict())
            self._on_trial(trial, self.best)
        return self._journal.trials

    def _restored_agent(self) -> Agent:
        """Bring an agent to where the journal ends."""
        agent, state = self._make_agent(self._env), self._journal.agent_state()
        if state is not None:
            try:
                agent.load_state_dict(state)
            except (ValueError, KeyError, TypeError, IndexError, OverflowError):
                # Damaged, or half of what another version wrote: it is told all again.
                agent = self._make_agent(self._env)
        for trial in self._journal.trials[agent.num_told :]:
            agent.ask(self._env)
            agent.tell(np.array(trial.actions), _told(trial))
        for trial in self._journal.trials:
            if trial.loss is not None:
                key = tuple(trial.choices.values())
                self._scores[key] = Score(trial.accuracy, trial.loss)
        return agent

    @property
    def is_over(self) -> bool:
        """Whether no roll-out is left to be made."""
        trials, limits = self._journal.trials, self._limits
        if len(trials) >= limits.num_rollouts:
            return True
        spent = sum(trial.seconds for trial in trials)
        if limits.minutes is not None and trials and spent >= 60.0 * limits.minutes:
            return True
        if self.best is None:
            return len(trials) >= MAX_FAILURES
        if len(trials) < limits.min_rollouts:
            return False
        return len(trials) - self.best.index > max(limits.num_rollouts / 2, 1)

    def _trial(self, values: np.ndarray, start: float) -> Trial:
        score, reward, error = self._scored(values)
        cost = self._problem.load.cost(values[None])
        # Logits that are NaN still give a class, and so an accuracy.
        finite = score is not None and math.isfinite(reward) and math.isfinite(score.loss)
        return Trial(
            index=len(self._journal.trials),
            seed=self._seed,
            actions=tuple(map(float, self._env.actions(values))),
            choices={
                layer.name: int(value)
                for layer, value in zip(self._problem.layers, values, strict=True)
            },
            cost={kind: float(amounts[0]) for kind, amounts in cost.items()},
            reward=reward if finite else None,
            accuracy=score.accuracy if score is not None and finite else None,
            loss=score.loss if score is not None and finite else None,
            seconds=time.perf_counter() - start,
            error=error if not finite else "",
        )

    def _scored(self, values: np.ndarray) -> tuple[Score | None, float, str]:
        """Score a candidate; one that fails, in whatever way, costs the search nothing more."""
        key = tuple(int(value) for value in values)
        try:
            if key not in self._scores:
                self._scores[key] = self._problem.score(values)
            score = self._scores[key]
            return score, self._problem.reward(score, values), "the score is not finite"
        except Exception as error:  # whatever a trial raises: the others go on
            raise_if_alone(error)
            return None, math.nan, f"{type(error).__name__}: {error}"


def _shared(trial: Trial) -> Trial:
    """Make sure that all workers tried the same; what was measured is worker 0's."""
    workers = current()
    if workers.size == 1:
        return trial
    workers.agree(str(dict(trial.choices)), f"the actions of roll-out {trial.index}")
    measured = ("reward", "accuracy", "loss", "seconds")
    chief = workers.from_chief({name: getattr(trial, name) for name in measured})
    return dataclasses.replace(trial, **chief)


def _told(trial: Trial) -> float:
    return math.nan if trial.reward is None else trial.reward
