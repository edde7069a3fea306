"""Files that were damaged on their way, or made to do harm: seeded changes of good ones."""

import collections

import numpy as np

from utils.errors import InputError


def damaged(content, count, seed=0):
    """Give changed copies: cut off, bytes replaced, pieces put in the place of others."""
    draw = np.random.default_rng(seed)
    for number in range(count):
        data = bytearray(content)
        if number % 4 == 0:
            data = data[: int(draw.integers(0, len(data)))]
        for _ in range(int(draw.integers(1, 8))):
            if not data:
                break
            place = int(draw.integers(0, len(data)))
            if number % 4 == 3:
                size = min(int(draw.integers(1, 64)), len(data) - place)
                source = int(draw.integers(0, len(data) - size + 1))
                data[place : place + size] = data[source : source + size]
            else:
                data[place] = int(draw.choice([0, 255, 127, 128, int(draw.integers(0, 256))]))
        yield bytes(data)


def outcomes(contents, read):
    """Count what a reader does with each: `read` or `refused`; another error is the test's."""
    found = collections.Counter()
    for content in contents:
        try:
            read(content)
        except InputError as error:
            assert str(error)
            found["refused"] += 1
        else:
            found["read"] += 1
    return found
