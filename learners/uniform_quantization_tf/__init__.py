"""The learner `uniform-tf`."""
