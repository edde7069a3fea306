"""Channel pruning by reconstruction (He et al., 2017), remastered."""
