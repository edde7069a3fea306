"""Channel pruning (He et al., 2017) with ratios by hand or by search, and group tuning."""
