"""Filter pruning by criteria (Li et al., 2017, and others), one shot or over several steps."""
