"""What the stages of a run left."""

import dataclasses

import keras

from learners.base import AbstractLearner, Trained


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the stages of a run left.

    Attributes:
        before: the network before the first stage whose result is another network (see
            `learners.Entry.ends_before`); the last stage's start where there is none.
        after: what the last stage returned.
        stages: the learners that ran, in order.
    """

    before: keras.Model
    after: Trained
    stages: tuple[AbstractLearner, ...]
