"""The learner `uniform`."""
