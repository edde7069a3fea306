"""The peer of the pruning rows: Torch-Pruning on the same ResNets, in an environment of its own.

`make bench-peers` makes `.venv-peers` from `requirements.txt` and runs `python -m benchmarks.peers`
there. Nothing here imports Flowpress, TensorFlow or Keras, and nothing of Flowpress imports what
needs torch. What is equal to Flowpress' own rows: the weights, the layers that are cut and how many
channels each keeps (`counts.json`), images, normalization, augmentation, batches an epoch, rate and
its fall, momentum, weight decay, the weight and temperature of distillation. The peer's own is
which channels stay, and PyTorch's optimizer and batch norm.
"""
