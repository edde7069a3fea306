"""Names of PyTorch's modules for the nodes that its exporter made of them."""

from __future__ import annotations

import ast
import dataclasses

import onnx

from utils.frontends.source import SourceNetwork

_MAIN = frozenset(
    "Conv ConvTranspose Gemm MatMul BatchNormalization LayerNormalization InstanceNormalization "
    "GroupNormalization LSTM GRU RNN PRelu".split()
)
_SCOPES = "pkg.torch.onnx.name_scopes"


def with_module_names(network: SourceNetwork, path: str) -> SourceNetwork:
    """Call each node after the module it comes from: `layer1.0.conv1`.

    Args:
        network: as read from the exported file.
        path: of that file, which says for every node in which modules it stands.

    Returns:
        The network. A module of several nodes gives its name to the one with weights, or to the
        first; the others keep theirs behind it.
    """
    model = onnx.load(path, load_external_data=False)
    scopes = {node.output[0]: _scope(node) for node in model.graph.node if node.output}
    found = [scopes.get(node.outputs[0], "") for node in network.nodes]
    main: dict[str, int] = {}
    for place, (node, scope) in enumerate(zip(network.nodes, found, strict=True)):
        present = main.get(scope)
        if present is None or network.nodes[present].op not in _MAIN:
            main[scope] = place if present is None or node.op in _MAIN else present
    nodes = []
    for place, (node, scope) in enumerate(zip(network.nodes, found, strict=True)):
        inner = f"{scope}.{node.name}" if scope else node.name
        name = scope if scope and main[scope] == place else inner
        nodes.append(dataclasses.replace(node, name=name))
    return dataclasses.replace(network, nodes=tuple(nodes))


def _scope(node: onnx.NodeProto) -> str:
    """The innermost module that a node stands in; empty if the file does not say."""
    for item in node.metadata_props:
        if item.key == _SCOPES:
            try:
                names = ast.literal_eval(item.value)
            except (ValueError, SyntaxError):
                return ""
            inner = [str(name) for name in names[:-1] if name]
            return inner[-1] if inner else ""
    return ""
