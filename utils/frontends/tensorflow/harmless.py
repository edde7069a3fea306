"""What TensorFlow would do besides computing, were it to run a graph from anywhere.

Reading a graph leaves control inputs, initializers and restoring operations out; a session carries
them out, and an operation such as WriteFile needs no more than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tensorflow.python.framework import op_def_registry

from utils.errors import InputError

# Operations that keep state, which TensorFlow needs to put variables in place and to read them.
_NEEDED = frozenset(
    "Assert Assign AssignVariableOp Placeholder PartitionedCall ReadVariableOp RestoreV2 "
    "StatefulPartitionedCall VarHandleOp VarIsInitializedOp Variable VariableV2".split()
)
_INIT_SIGNATURE = "__saved_model_init_op"
_INIT_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")


def check_saved_model(meta: Any, outputs: Iterable[str]) -> None:
    """Refuse to load and run a SavedModel that does more than restore variables and compute.

    Args:
        meta: the MetaGraphDef.
        outputs: tensors that are wanted.

    Raises:
        InputError: see `check_graph`.
    """
    roots = [*outputs, meta.saver_def.restore_op_name]
    if _INIT_SIGNATURE in meta.signature_def:
        roots += [info.name for info in meta.signature_def[_INIT_SIGNATURE].outputs.values()]
    for name in _INIT_COLLECTIONS:
        if name in meta.collection_def:
            roots += list(meta.collection_def[name].node_list.value)
    check_graph(meta.graph_def, roots)


def check_graph(definition: Any, roots: Iterable[str]) -> None:
    """Refuse to run a graph that does more than compute.

    Args:
        definition: the GraphDef.
        roots: names of the tensors and operations that are to run.

    Raises:
        InputError: names the operations.
    """
    strange = sorted(op for op in _reached(definition, roots) if _keeps_state(op))
    if strange:
        raise InputError(
            f"the graph also holds {', '.join(strange[:5])}, which do more than compute: it is not "
            "run for the comparison. If you trust it, run it yourself and give --input_npy and "
            "--result_npy."
        )


def _keeps_state(op: str) -> bool:
    definition = op_def_registry.get(op)
    is_unknown = definition is None
    return op not in _NEEDED and (is_unknown or definition.is_stateful or op == "ReadFile")


def _reached(definition: Any, roots: Iterable[str]) -> set[str]:
    """Collect the operations that roots need: of the graph, and of all functions they call."""
    functions = {each.signature.name: each for each in definition.library.function}
    nodes = {node.name: node for node in definition.node}
    waiting = [_node_name(text) for text in roots if text]
    seen: set[str] = set()
    ops: set[str] = set()
    called: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in nodes:
            continue
        seen.add(name)
        waiting += map(_node_name, nodes[name].input)
        called |= _calls(nodes[name], functions)
        ops.add(nodes[name].op)
    bodies = list(called)
    while bodies:  # of a function everything counts: what is stateful in it runs
        for node in functions[bodies.pop()].node_def:
            ops.add(node.op)
            fresh = _calls(node, functions) - called
            called |= fresh
            bodies += fresh
    return ops - set(functions)


def _node_name(text: str) -> str:
    return text.lstrip("^").partition(":")[0]


def _calls(node: Any, functions: Mapping[str, Any]) -> set[str]:
    """Name the functions that a node calls, by its operation or in its attributes."""
    names = {node.op}
    for value in node.attr.values():
        names.add(value.func.name)
        names |= {each.name for each in value.list.func}
    return names & set(functions)
