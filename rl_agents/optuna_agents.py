"""TPE and CMA-ES, through Optuna's samplers (the extra `search`).

Each agent keeps an in-memory study. A proposal is asked of a sampler made anew for its roll-out,
seeded by (seed, i). Optuna cannot change the parameters of an asked trial, so that one is closed
and what the environment really applied goes in as a finished trial of its own. A saved agent is
its history: restoring asks and tells it again.

References:
    Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NIPS 2011 (TPE).
    Hansen & Ostermeier, "Completely Derandomized Self-Adaptation in Evolution Strategies",
    Evolutionary Computation 9, 2001 (CMA-ES).
    Akiba et al., "Optuna", KDD 2019, arXiv:1907.10902.
"""

import abc
import importlib
import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

from rl_agents.base import ASK_STREAM, VectorAgent, Walk
from utils.errors import InputError

INITIAL_STEP = 0.2  # CMA-ES: standard deviation of the first generation


def require(package: str) -> ModuleType:
    """Import a package of the extra `search`.

    Raises:
        InputError: it is not installed; says how to install it.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(
            f"This agent needs the package {package!r}, which cannot be imported ({error}). "
            "Install the extra `search`: pip install '.[search]', or choose --agent=ddpg, "
            "evolution or random."
        ) from error


class OptunaAgent(VectorAgent):
    """Base of the agents that let an Optuna sampler propose. Arguments: see `Agent`."""

    def __init__(self, num_layers: int, state_dim: int, **options: Any) -> None:
        super().__init__(num_layers, state_dim, **options)
        self._optuna = require("optuna")
        self._optuna.logging.set_verbosity(self._optuna.logging.WARNING)
        distribution = self._optuna.distributions.FloatDistribution(0.0, 1.0)
        # Optuna sorts parameters by name, so the names sort as the layers do.
        self._space = {f"layer_{index:05d}": distribution for index in range(num_layers)}
        self._start_anew()

    @abc.abstractmethod
    def _sampler(self, seed: int) -> Any:
        """Make the Optuna sampler of one roll-out."""

    def _start_anew(self) -> None:
        self._study = self._optuna.create_study(direction="maximize")
        self._asked: tuple[int, np.ndarray, dict[str, Any]] | None = None
        self._told_index: list[int] = []
        self._told_actions: list[np.ndarray] = []
        self._told_scores: list[float] = []

    def _propose(self, generator: np.random.Generator) -> np.ndarray:
        # A second trial for the same roll-out would shift the trial numbers, which CMA-ES seeds by.
        if self._asked is None or self._asked[0] != self.num_told:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # "experimental", "removed in Optuna 6"
                self._study.sampler = self._sampler(int(generator.integers(2**31 - 1)))
                trial = self._study.ask(self._space)
            proposal = np.clip([trial.params[name] for name in self._space], 0.0, 1.0)
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
            closed = self._study.get_trials(deepcopy=False)[-1]
            self._asked = (self.num_told, proposal, dict(closed.system_attrs))
        return self._asked[1]

    def _learn(self, rollout: Walk, rewards: np.ndarray) -> None:
        self._add_trial(rollout.actions, float(rewards.mean()))

    def _add_trial(self, actions: np.ndarray, score: float) -> None:
        proposed = self._asked is not None and self._asked[0] == self.num_told
        # CMA-ES finds its generation, and its own state, in the attributes of the asked trial.
        attributes = self._asked[2] if self._asked and proposed else {}
        self._study.add_trial(
            self._optuna.trial.create_trial(
                params=dict(zip(self._space, map(float, actions), strict=True)),
                distributions=self._space,
                value=score,
                system_attrs=attributes,
            )
        )
        self._told_index.append(self.num_told)
        self._told_actions.append(actions)
        self._told_scores.append(score)

    def _state(self) -> dict[str, np.ndarray]:
        return {
            "index": np.array(self._told_index, np.int64),
            "actions": np.array(self._told_actions).reshape(-1, self.num_layers),
            "scores": np.array(self._told_scores),
        }

    def _load(self, state: Mapping[str, np.ndarray]) -> None:
        if state["actions"].shape[1:] != (self.num_layers,):
            raise ValueError(
                f"The saved history is for {state['actions'].shape[1:]} layers, this agent for "
                f"{self.num_layers}."
            )
        self._start_anew()
        told = dict(zip(state["index"].tolist(), range(len(state["index"])), strict=True))
        for self.num_told in range(int(state["num_told"])):
            if self.num_told >= len(self.initial):
                self._propose(self.generator(ASK_STREAM))
            if self.num_told in told:
                row = told[self.num_told]
                self._add_trial(np.array(state["actions"][row]), float(state["scores"][row]))


class TpeAgent(OptunaAgent):
    """Tree-structured Parzen estimator over all layers jointly. Arguments: see `Agent`."""

    def _sampler(self, seed: int) -> Any:
        # Settings that differ between Optuna 4 and 5 are stated.
        return self._optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=False)


class CmaEsAgent(OptunaAgent):
    """CMA-ES, starting at the first initial vector (else at 0.5). Arguments: see `Agent`.

    With one layer there is no covariance to adapt: Optuna then samples uniformly.
    """

    def __init__(self, num_layers: int, state_dim: int, **options: Any) -> None:
        require("cmaes")
        super().__init__(num_layers, state_dim, **options)

    def _sampler(self, seed: int) -> Any:
        start = self.initial[0] if self.initial else np.full(self.num_layers, 0.5)
        return self._optuna.samplers.CmaEsSampler(
            x0=dict(zip(self._space, map(float, start), strict=True)),
            sigma0=INITIAL_STEP,
            n_startup_trials=0,
            warn_independent_sampling=False,
            seed=seed,
        )
