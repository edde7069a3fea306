"""The learner `non-uniform`."""
