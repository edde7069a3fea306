import numpy as np

from rl_agents.ddpg.running_statistics import RunningStatistics


def test_agrees_with_numpy_over_uneven_batches():
    samples = np.random.default_rng(0).normal(1e6, [1.0, 5.0, 0.1], size=(37, 3))
    statistics = RunningStatistics(3, min_variance=1e-12)
    for batch in np.split(samples, [1, 2, 10, 30]):
        statistics.update(batch)
    assert statistics.count == 37
    np.testing.assert_allclose(statistics.mean, samples.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(statistics.std, samples.std(axis=0), rtol=1e-6)


def test_before_the_first_sample_nothing_changes():
    statistics = RunningStatistics(2, min_variance=1e-4)
    np.testing.assert_array_equal(statistics.mean, [0.0, 0.0])
    np.testing.assert_array_equal(statistics.std, [1.0, 1.0])


def test_small_variances_count_as_the_smallest_allowed():
    statistics = RunningStatistics(2, min_variance=0.25)
    statistics.update(np.array([[1.0, 0.0], [1.0, 2.0]]))
    np.testing.assert_array_equal(statistics.std, [0.5, 1.0])


def test_round_trip():
    statistics, restored = RunningStatistics(2, 1e-4), RunningStatistics(2, 1e-4)
    statistics.update(np.array([[1.0, 4.0], [3.0, 8.0]]))
    restored.load_state_dict(statistics.state_dict())
    for each in (statistics, restored):
        each.update(np.array([[5.0, 0.0]]))
    np.testing.assert_array_equal(restored.mean, statistics.mean)
    np.testing.assert_array_equal(restored.std, statistics.std)
