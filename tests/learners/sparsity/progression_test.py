"""How far a ratio has come: its ends, and the papers' equations by another way."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learners.sparsity.progression import PROGRESSIONS, cubic, geometric


@pytest.mark.parametrize("name", PROGRESSIONS)
@given(ratio=st.floats(0.0, 0.99), shares=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=6))
def test_from_nothing_to_the_ratio_and_never_back(name, ratio, shares):
    reached = [PROGRESSIONS[name](ratio, share) for share in (0.0, *sorted(shares), 1.0)]
    assert reached[0] == pytest.approx(0.0, abs=1e-12)
    assert reached[-1] == pytest.approx(ratio, abs=1e-12)
    assert all(b >= a - 1e-12 for a, b in itertools.pairwise(reached))


def test_cubic_is_the_papers_schedule():
    """s_t = s_f + (s_i - s_f)(1 - (t - t_0) / (n dt))^3 with s_i = 0, t_0 = 100, n dt = 400."""
    for step in (100, 150, 300, 500):
        wanted = 0.8 + (0.0 - 0.8) * (1.0 - (step - 100) / 400) ** 3
        assert cubic(0.8, (step - 100) / 400) == pytest.approx(wanted)


def test_geometric_removes_the_same_part_of_what_is_left():
    left = [1.0 - geometric(0.9, step / 5) for step in range(6)]
    parts = [b / a for a, b in itertools.pairwise(left)]
    assert parts == pytest.approx([0.1 ** (1 / 5)] * 5)
