"""Training a student from the outputs of its teachers."""
