"""What a network looks like once it is written down, without running it."""

from utils.graph import from_keras
from utils.reconstructors.ops import REFUSED, TABLE
from utils.reconstructors.rebuilding import Rebuilding
from utils.reconstructors.torch_steps import TorchTarget


def written(model, *, last=False):
    """Give the lines of `forward` and those of `__init__`, and the state dict's arrays."""
    graph, target = from_keras(model), TorchTarget()
    Rebuilding(graph, target).run(TABLE, REFUSED, last=last)
    source = target.source(graph.name, graph.output_structure)
    setup, _, rest = source.rpartition("super().__init__()")[2].partition("def forward")
    body = rest.partition("def load")[0].splitlines()[1:]
    return [line.strip() for line in body if line.strip()], setup, target.state
