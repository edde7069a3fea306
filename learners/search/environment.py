"""The environment that an agent steps through: layer after layer, within the budget.

State before layer t (the documents' vector, every entry of the order of 1):

| entries | meaning |
|--:|:--|
| layers | one-hot index of the layer |
| 4 | its weight tensor's shape, logarithmic, relative to the largest of all layers |
| 1 | its share of the parameters |
| 1 | its share of the cost: what its smallest choice saves |
| 1 | cost that the layers before have saved, relative to all that can be saved |
| 1 | budget left for the layers that remain when all take their smallest choice, likewise |
| 1 | the previous action |

An action is clipped so that the budget stays reachable from both sides: with the smallest choices
for the rest the load must not exceed 1, with the largest it must reach the floor (0.98). What is
left at the end, because choices are whole numbers, `settled` puts right.

Reference:
    He et al., "AMC: AutoML for Model Compression and Acceleration on Mobile Devices", ECCV 2018,
    arXiv:1802.03494, section 3.2 and algorithm 1.
"""

from collections.abc import Sequence

import numpy as np

from learners.search.choices import (
    CEILING,
    FLOOR,
    ChoiceLayer,
    LoadFunction,
    polish,
    smallest,
    untouched,
)

SHAPE_ENTRIES = 4


class BudgetEnvironment:
    """Walks through layers; see the module. Implements `rl_agents.base.Environment`.

    Args:
        layers: the layers and their choices.
        load: candidates int [n, layers] -> load [n]; grows with every value.
        floor: the least load that a result must have; 0 lets the agent stay below the budget.

    Attributes:
        num_layers: steps of a roll-out.
        state_dim: length of a state vector.
    """

    def __init__(
        self, layers: Sequence[ChoiceLayer], load: LoadFunction, *, floor: float = FLOOR
    ) -> None:
        self.layers = tuple(layers)
        self.load = load
        self.floor = floor
        self.num_layers = len(self.layers)
        self._facts = self._layer_facts()
        self.state_dim = self.num_layers + self._facts.shape[1] + 3
        self._least, self._most = smallest(self.layers), untouched(self.layers)
        self._full_load, self._least_load = self.load(np.stack([self._most, self._least]))
        self._chosen: list[int] = []
        self._action = 0.0

    def reset(self) -> np.ndarray:
        """Start at the first layer."""
        self._chosen, self._action = [], 0.0
        return self._state()

    def step(self, action: float) -> tuple[np.ndarray, float, bool]:
        """Choose for the layer at hand.

        Args:
            action: in [0, 1]; 0 leaves the layer as it is, 1 asks for its smallest choice.

        Returns:
            The next state, the action that stands for what was really chosen, and whether it was
            the last layer.
        """
        layer = self.layers[len(self._chosen)]
        value = self._reachable(layer.wish(action))
        self._chosen.append(value)
        self._action = layer.action(value)
        return self._state(), self._action, len(self._chosen) == self.num_layers

    def settled(self) -> np.ndarray:
        """Give the finished roll-out's values, moved onto the budget: int [layers]."""
        return polish(np.array(self._chosen), self.layers, self.load, floor=self.floor)

    def actions(self, values: Sequence[int] | np.ndarray) -> np.ndarray:
        """Give the actions that stand for values, float64 [layers]."""
        pairs = zip(self.layers, values, strict=True)
        return np.array([layer.action(float(value)) for layer, value in pairs])

    def _reachable(self, wish: float) -> int:
        """Take the choice nearest to a wish from which the budget can still be met."""
        index = len(self._chosen)
        choices = np.array(self.layers[index].choices)
        rest_least, rest_most = (
            self._candidates(choices, self._least),
            self._candidates(choices, self._most),
        )
        over = np.maximum(self.load(rest_least) - CEILING, 0.0)
        under = np.maximum(self.floor - self.load(rest_most), 0.0)
        missed = np.maximum(over, under)
        # Where no choice can meet it (steps are coarse), those that miss it least.
        allowed = np.flatnonzero(missed <= missed.min())
        return int(choices[allowed[np.argmin(np.abs(choices[allowed] - wish))]])

    def _candidates(self, choices: np.ndarray, rest: np.ndarray) -> np.ndarray:
        rows = np.repeat(rest[None], choices.size, axis=0)
        index = len(self._chosen)
        rows[:, :index] = self._chosen
        rows[:, index] = choices
        return rows

    def _state(self) -> np.ndarray:
        index = len(self._chosen)
        one_hot = np.arange(self.num_layers) == index
        facts = self._facts[min(index, self.num_layers - 1)]
        with_most = np.concatenate([self._chosen, self._most[index:]]).astype(int)
        with_least = np.concatenate([self._chosen, self._least[index:]]).astype(int)
        load_most, load_least = self.load(np.stack([with_most, with_least]))
        span = max(self._full_load - self._least_load, np.finfo(float).tiny)
        used, left = (self._full_load - load_most) / span, (CEILING - load_least) / span
        return np.concatenate([one_hot, facts, [used, left, self._action]]).astype(np.float32)

    def _layer_facts(self) -> np.ndarray:
        """Give what does not change: shape, parameters, cost, [layers, entries]."""
        shapes = np.ones((self.num_layers, SHAPE_ENTRIES))
        for row, layer in zip(shapes, self.layers, strict=True):
            tail = layer.shape[-SHAPE_ENTRIES:]
            row[SHAPE_ENTRIES - len(tail) :] = tail
        sizes = np.log1p(shapes)
        params = np.array([layer.num_params for layer in self.layers], float)
        full = untouched(self.layers)
        alone = np.repeat(full[None], self.num_layers, axis=0)
        np.fill_diagonal(alone, smallest(self.layers))
        savings = 1.0 - self.load(alone) / self.load(full[None])[0]
        return np.column_stack([sizes / sizes.max(), params / max(params.sum(), 1.0), savings])
