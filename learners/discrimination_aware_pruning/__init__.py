"""Discrimination-aware channel pruning (Zhuang et al., 2018)."""
