"""Candidates that are made up: what they lose is a function of their size."""

import types

from learners.auto.allocate import Answer
from learners.auto.joint import Joint
from learners.auto.record import Trial
from learners.auto.search import Goal, Search
from learners.auto.workshop import Candidate

REST = 50.0


class Workshop:
    """Kernels of 100 to 1,000 bytes; the fewer, the more is lost."""

    least, most, budget, scales = 100.0, 1000.0, None, None
    ways = ("channels", "bits")

    def __init__(self, drop):
        self.drop, self.made = drop, []
        deciding = types.SimpleNamespace(is_share=True, name="accuracy")
        self.judge = types.SimpleNamespace(
            file=types.SimpleNamespace(
                before=types.SimpleNamespace(deciding=deciding), num_images=10
            )
        )
        self.offer = types.SimpleNamespace(kind="int8", deflated=True)

    def answer(self, size):
        return Answer(joint=Joint(widths={}, options={}), bytes=size, errors={"bits": 1.0 / size})

    def answer_of_size(self, size, way):
        return self.answer(size)

    def answer_of_error(self, error, way):
        return self.answer(1.0 / error)

    def make(self, answer, label, size):
        self.made.append((label, round(size)))
        trial = Trial(
            label=label,
            values={},
            size=size,
            num_bytes=round(answer.bytes + REST),
            drop=self.drop(answer.bytes),
            value=0.9,
            loss=0.1,
            error=(3.0 if "channels" in label else 0.5) / answer.bytes,
            predicted=1.0 / answer.bytes,
            seconds=1.0,
        )
        return Candidate(trial=trial, joint=answer.joint, built=None)


def search_of(drop, max_drop=1.0, max_bytes=None, num_candidates=20):
    workshop = Workshop(drop)
    goal = Goal(
        max_drop=max_drop, max_bytes=max_bytes, num_candidates=num_candidates, text="the goal"
    )
    return Search(workshop, goal, REST, lambda sentence: None)


def falling(size):
    return 400.0 / size
