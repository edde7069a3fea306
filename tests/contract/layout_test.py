"""How files may import each other; every `import` counts, in functions and for types too."""

import ast
import functools
import pathlib

import pytest

import learners

ROOT = pathlib.Path(learners.__file__).parents[1]

# Who may import whom. `flowpress.py`, `main.py` and `tools` are front doors.
MAY_IMPORT = {
    "utils": set(),
    "rl_agents": {"utils"},
    "datasets": {"utils"},
    "nets": {"datasets", "utils"},
    "learners": {"nets", "rl_agents", "utils"},
    "pipeline": {"learners", "nets", "utils"},
    "tools": {"learners", "nets", "utils"},
    "main": {"learners", "nets", "pipeline", "utils"},
    "flowpress": {"learners", "nets", "pipeline", "utils"},
}


@functools.cache
def files():
    """Our modules by name, without tests and benchmarks."""
    found = {}
    for top in MAY_IMPORT:
        path = ROOT / f"{top}.py"
        for file in [path] if path.is_file() else (ROOT / top).rglob("*.py"):
            parts = file.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


@functools.cache
def imports():
    """Module -> those of ours that it imports anywhere."""
    return {name: _imported(name, file) for name, file in files().items()}


def _imported(name, file):
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {full if full in files() else node.module for full in names}
    return {module for module in found if module in files() and module != name}


def circles(graph):
    """Give a circle of imports through each module that is in one, the shortest."""
    found = []
    for start in graph:
        paths = [[start]]
        seen = set()
        while paths:
            path = paths.pop(0)
            for module in graph[path[-1]]:
                if module == start:
                    found.append([*path, start])
                    paths = []
                    break
                if module not in seen:
                    seen.add(module)
                    paths.append([*path, module])
    return found


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c", "b"], ["c", "b", "c"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_circles():
    assert circles(imports()) == []


@pytest.mark.parametrize("top", MAY_IMPORT)
def test_imports_point_one_way(top):
    wrong = {
        (name, module)
        for name, modules in imports().items()
        for module in modules
        if name.partition(".")[0] == top and module.partition(".")[0] not in {top, *MAY_IMPORT[top]}
    }
    assert wrong == set()


def test_no_shared_file_knows_a_learner():
    """What lies in a learner's folder is used by that folder, and found by the table alone."""
    folders = {entry.config.rpartition(".")[0] for entry in learners.LEARNERS.values()}
    assert {"learners.full_precision", "learners.channel_pruning_rmt"} <= folders
    wrong = {
        (name, module)
        for name, modules in imports().items()
        for module in modules
        for folder in folders
        if f"{module}.".startswith(f"{folder}.") and not f"{name}.".startswith(f"{folder}.")
    }
    assert wrong == set()
