"""Figures of the original framework, measured once.

It needs TensorFlow 1.13.2 and Python 3.7 and so cannot run beside Flowpress. Its figures were taken
on a 2-core machine and are stated here with what they were measured on; nothing runs to get them.
"""

RECORDED = (
    {
        "topic": "pruning",
        "what": "channel selection (channel-pruned-rmt), 22 convolutions of its ResNet-20, default "
        "flags: 5,000 samples, 10 crops each",
        "figure": "selection_seconds",
        "value": 565,
    },
    {
        "topic": "search",
        "what": "sparsity roll-outs (weight-sparse, DDPG) a minute, its tuning cut to one step per "
        "layer",
        "figure": "rollouts_per_minute",
        "value": "2 to 3",
    },
)
