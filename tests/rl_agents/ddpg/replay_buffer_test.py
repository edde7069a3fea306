import numpy as np
import pytest

from rl_agents.ddpg.replay_buffer import ReplayBuffer


def transitions(first: int, count: int) -> dict[str, np.ndarray]:
    numbers = np.arange(first, first + count, dtype=np.float32)
    return {
        "states": np.stack([numbers, -numbers], axis=1),
        "actions": numbers / 100.0,
        "rewards": numbers,
        "terminals": np.zeros(count, np.float32),
        "next_states": np.stack([numbers + 1, -numbers - 1], axis=1),
    }


def held(buffer: ReplayBuffer) -> list[float]:
    return sorted(buffer.state_dict()["rewards"].tolist())


def test_the_oldest_go_first():
    buffer = ReplayBuffer(5, 2)
    buffer.append(transitions(0, 3))
    assert (buffer.size, held(buffer)) == (3, [0, 1, 2])
    buffer.append(transitions(3, 4))
    assert (buffer.size, held(buffer)) == (5, [2, 3, 4, 5, 6])
    buffer.append(transitions(7, 5))
    assert held(buffer) == [7, 8, 9, 10, 11]


def test_samples_are_whole_transitions_and_uniform():
    buffer = ReplayBuffer(4, 2)
    buffer.append(transitions(0, 6))
    sample = buffer.sample(8_000, np.random.default_rng(0))
    np.testing.assert_array_equal(sample["states"][:, 0], sample["rewards"])
    np.testing.assert_array_equal(sample["next_states"][:, 0], sample["rewards"] + 1)
    np.testing.assert_array_equal(sample["actions"], sample["rewards"] / np.float32(100))
    values, counts = np.unique(sample["rewards"], return_counts=True)
    np.testing.assert_array_equal(values, [2, 3, 4, 5])
    np.testing.assert_allclose(counts / 8_000, 0.25, atol=0.02)


def test_only_filled_slots_are_sampled():
    buffer = ReplayBuffer(100, 2)
    buffer.append(transitions(5, 2))
    sample = buffer.sample(50, np.random.default_rng(0))
    assert set(sample["rewards"].tolist()) == {5.0, 6.0}


@pytest.mark.parametrize("count", [3, 5, 7])
def test_restored_buffer_goes_on_in_the_same_slots(count):
    buffer, restored = ReplayBuffer(5, 2), ReplayBuffer(5, 2)
    for first in range(0, count, 3):
        buffer.append(transitions(first, 3))
    restored.load_state_dict(buffer.state_dict())
    for each in (buffer, restored):
        each.append(transitions(20, 2))
    for name, field in buffer.state_dict().items():
        np.testing.assert_array_equal(restored.state_dict()[name], field)


@pytest.mark.parametrize(("capacity", "state_dim"), [(2, 2), (5, 3)])
def test_refuses_what_does_not_fit(capacity, state_dim):
    buffer = ReplayBuffer(5, 2)
    buffer.append(transitions(0, 3))
    with pytest.raises(ValueError, match=r"saved replay buffer does not fit: states must be at"):
        ReplayBuffer(capacity, state_dim).load_state_dict(buffer.state_dict())
