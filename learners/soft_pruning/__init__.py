"""Soft filter pruning (He et al., 2018) by a falling threshold on redundancy."""
