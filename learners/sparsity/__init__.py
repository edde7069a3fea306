"""Sparsity for a learner and for loops of the user's own: scores, masks, prune dicts, `Prune`."""
