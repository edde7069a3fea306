"""The graph: one exact picture of a Keras network, from which it is cut, counted and drawn."""

from utils.graph.channels import capability_report, channel_groups
from utils.graph.complexity import Complexity, complexity
from utils.graph.copying import copy_network
from utils.graph.endings import Ending, endings
from utils.graph.groups import ChannelGroup, Reader
from utils.graph.ir import Capability, Graph, Node, Ref
from utils.graph.keras_io import from_keras, to_keras, to_keras_with_tensors
from utils.graph.surgery import masked_graph, masked_model, shrink
from utils.graph.traceable import traceable, traceable_name

__all__ = [
    "Capability",
    "ChannelGroup",
    "Complexity",
    "Ending",
    "Graph",
    "Node",
    "Reader",
    "Ref",
    "capability_report",
    "channel_groups",
    "complexity",
    "copy_network",
    "endings",
    "from_keras",
    "masked_graph",
    "masked_model",
    "shrink",
    "to_keras",
    "to_keras_with_tensors",
    "traceable",
    "traceable_name",
]
