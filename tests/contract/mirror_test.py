"""Every module has its test under the same path, and every test its module."""

import ast
import pathlib

import main
from tests.conftest import LONGEST

ROOT = pathlib.Path(main.__file__).resolve().parent
FOLDERS = ("utils", "rl_agents", "datasets", "nets", "learners", "pipeline", "tools", "benchmarks")
FRONT_DOORS = ("main.py", "flowpress.py")


def sources():
    """List the project's own modules."""
    found = [ROOT / name for name in FRONT_DOORS]
    return found + [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def has_code(path):
    """Whether a module does anything: a package may consist of its docstring."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    kinds = (ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
    exports = [node for node in body if isinstance(node, ast.Assign)]
    exports = [node for node in exports if getattr(node.targets[0], "id", "") == "__all__"]
    return any(isinstance(node, kinds) and node not in exports for node in body)


def test_tests_mirror_the_sources():
    missing = []
    for path in sources():
        inner = path.relative_to(ROOT)
        stem = {"__init__": "init", "__main__": "main"}.get(inner.stem, inner.stem)
        if inner.stem == "__init__" and not has_code(path):
            continue
        if inner.name.endswith("_bench.py"):  # rows that run for hours; topics_test loads them all
            continue
        if not (ROOT / "tests" / inner.parent / f"{stem}_test.py").exists():
            missing.append(str(inner))
    assert not missing


def test_every_test_has_its_source():
    known = {path.relative_to(ROOT).with_suffix("") for path in sources()}
    own = {
        "contract",
        "users",
        "docs",
        "scripts",
        "examples",
        "distributed",
    }  # about no single module
    for path in (ROOT / "tests").rglob("*_test.py"):
        inner = path.relative_to(ROOT / "tests")
        if inner.parts[0] in own or inner.name in ("bad_input_test.py", "first_hour_test.py"):
            continue
        stem = inner.stem.removesuffix("_test")
        names = {stem, {"init": "__init__", "main": "__main__"}.get(stem, stem)}
        assert any(inner.parent / name in known for name in names), inner


def test_files_that_take_longest_are_there():
    for name in LONGEST:
        assert (ROOT / "tests" / name).is_file(), name


def test_search_speaks_of_no_quantity_and_reconstruction_needs_none():
    """What they choose or solve for is the caller's to know."""
    for path in sorted((ROOT / "learners" / "search").rglob("*.py")):
        assert "channel" not in path.read_text(encoding="utf-8").lower(), path
    for path in sorted((ROOT / "learners" / "reconstruction").rglob("*.py")):
        assert "learners.channels" not in path.read_text(encoding="utf-8"), path
