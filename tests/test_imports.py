"""Imports run one way, and the command line imports only what a command needs."""

import ast
from pathlib import Path

import pytest

from rabbitlab.units import ROOT

PACKAGE = ROOT / "rabbitlab"
# From the top down: a module imports from its own line or from the lines below it. Every module has its place here.
LAYERS = (
    ("cli", "__main__"),
    ("verify", "everything", "matrix", "bench"),
    ("grading", "lessons", "topology", "doctor", "servers", "browsers", "audit"),
    ("faults", "ledger", "timeline"),
    (
        "cluster",
        "containers",
        "engine",
        "healing",
        "images",
        "limits",
        "lock",
        "logs",
        "users",
        "debian",
        "consent",
        "ports",
        "readiness",
        "overview",
        "proxy",
        "certificates",
        "wholeness",
    ),
    ("broker",),
    ("management",),
    ("nodes", "units", "errors", "stalls"),
)
APART = "patterns"  # plain pika, to be taken to work: nothing imports it, and it imports nothing of the course
PLACE = {name: place for place, names in enumerate(LAYERS) for name in names}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def module(path: Path) -> str:
    """The module or subpackage of rabbitlab that a file belongs to: ``grading`` for ``rabbitlab/grading/room.py``."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path, *, at_once: bool = False) -> set[str]:
    """The modules of rabbitlab that a file imports; with *at_once*, only those that it imports when it is imported."""
    tree = ast.parse(path.read_text())
    found = set()
    for node in _outside_functions(tree) if at_once else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[1] for name in node.names if name.name.startswith("rabbitlab.")}
        elif isinstance(node, ast.ImportFrom) and node.level:
            found.add(module(path))  # relative: within its own subpackage
        elif isinstance(node, ast.ImportFrom) and node.module == "rabbitlab":
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rabbitlab."):
            found.add(node.module.split(".")[1])
    return found - {module(path), "__version__"}


def _outside_functions(node: ast.AST):
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from _outside_functions(child)


def shown(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_imports_run_one_way(path):
    here = module(path)
    if here == APART:
        assert imports(path) == set()
        return
    assert here in PLACE, f"rabbitlab/{here} has no place yet: add it to LAYERS in {Path(__file__).name}"
    for name in imports(path):
        assert name != APART, f"{path} imports {APART}, which stands apart"
        assert name in PLACE, f"{path} imports rabbitlab.{name}, which has no place in LAYERS"
        assert PLACE[name] >= PLACE[here], f"{path}: {here} may not import {name}, which stands above it"


def test_no_two_modules_import_each_other_at_once():
    at_once = {}
    for path in FILES:
        at_once.setdefault(module(path), set()).update(imports(path, at_once=True))

    def reached(name: str, seen: frozenset = frozenset()) -> set[str]:
        nearer = at_once.get(name, set()) - seen
        return nearer | {far for near in nearer for far in reached(near, seen | nearer)}

    assert [name for name in at_once if name in reached(name)] == []


def test_the_command_line_imports_nothing_of_the_package_at_once():
    assert imports(PACKAGE / "cli.py", at_once=True) == set()


def test_a_learner_may_import_the_package_without_its_tools():
    assert imports(PACKAGE / "__init__.py") == set()
