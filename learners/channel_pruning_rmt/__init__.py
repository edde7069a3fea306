"""Channel pruning by LASSO and least squares (He et al., 2017), remastered."""
