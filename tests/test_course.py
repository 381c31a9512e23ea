"""What the course promises of itself: the form of lessons and exercises, one name for each thing, and nothing that names a machine."""

import ast
import inspect
import json
import re
import subprocess
from importlib import util
from pathlib import Path

import pytest

from rabbitlab import units, verify
from rabbitlab.lessons import figures
from rabbitlab.units import ROOT, Unit

LESSONS = [unit for unit in units.every() if unit.kind == "lesson"]
GRADED = [unit for unit in units.every() if unit.graded]
QUIZZES = [unit for unit in units.every() if unit.kind == "quiz"]
RUNNABLE = [unit for unit in units.every() if unit.source.exists() and unit.kind != "quiz"]
FENCE = re.compile(r"^```python(?P<options>[^\n]*)\n(?P<code>.*?)^```", re.M | re.S)
LOOKS_OR_BREAKS = {"broker", "topology", "faults", "grading", "ledger", "proxy", "logs"}
SUBJECT = {"4/06": {"patterns"}}  # a lesson that reads a part of the package may use it
FEWEST_WRONG_ANSWERS = 5


def named(unit: Unit) -> str:
    return unit.short


def cells(unit: Unit) -> list[tuple[str, str]]:
    """The code cells of a unit's source as (options, code), without those that are only shown."""
    found = [(m["options"], m["code"]) for m in FENCE.finditer(unit.source.read_text())]
    return [(options, code) for options, code in found if ".noeval" not in options]


def trees(unit: Unit) -> list[ast.Module]:
    return [ast.parse(code) for _, code in cells(unit) if not code.lstrip().startswith(("%", "!"))]


@pytest.mark.parametrize("unit", LESSONS, ids=named)
class TestLesson:
    def test_asks_for_a_prediction(self, unit):
        assert re.search(r"^\*\*Predict\.\*\*", unit.page.read_text(), re.M), f"{unit.page} has no paragraph that begins **Predict.**"

    def test_draws_the_live_broker(self, unit):
        assert any("topology.draw(" in code or "topology.live(" in code for _, code in cells(unit)), f"{unit.page} draws nothing"

    def test_breaks_something(self, unit):
        def breaks(options, code):
            return "raises-exception" in options or "except " in code or "faults." in code

        assert any(breaks(options, code) for options, code in cells(unit)), f"nothing fails in {unit.page}"

    def test_imports_pika_and_things_that_look_or_break(self, unit):
        import sys

        ours = LOOKS_OR_BREAKS | SUBJECT.get(unit.short, set())
        for tree in trees(unit):
            for name in imported(tree):
                top, _, rest = name.partition(".")
                allowed = top in ("pika", "IPython", "matplotlib") or top in sys.stdlib_module_names
                assert allowed or (top == "rabbitlab" and rest.split(".")[0] in ours), f"{unit.page} imports {name}"


@pytest.mark.parametrize("unit", RUNNABLE, ids=named)
class TestCells:
    def test_names_arguments_in_pika_calls(self, unit):
        """Style: keyword arguments in every pika call with more than one argument."""
        for tree in trees(unit):
            for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                if call.func.attr.startswith(("basic_", "queue_", "exchange_")):
                    assert len(call.args) <= 1, f"{unit.source}: {ast.unparse(call)}"

    def test_waits_for_conditions(self, unit):
        for _, code in cells(unit):
            for line in code.splitlines():
                assert "sleep(" not in line or re.search(r"def |# ", line), (
                    f"{unit.source} sleeps without saying why on the line: {line.strip()}"
                )


@pytest.mark.parametrize("unit", RUNNABLE, ids=named)
def test_recorded_pictures_are_small(unit):
    """A repository keeps every version of a picture for ever, and a page loads all of its own at once."""
    for cell in json.loads(unit.notebook.read_text())["cells"] if unit.notebook.exists() else []:
        for output in cell.get("outputs", []):
            for mime in (figures.SHARP, figures.LIGHT):
                picture = "".join(output.get("data", {}).get(mime, ""))
                assert len(picture) <= figures.MOST * 4 / 3, f"{unit.notebook}: a picture of {len(picture)} bytes"  # base64 adds a third


def imported(tree: ast.Module) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" if node.module == "rabbitlab" else node.module for alias in node.names]
    return names


def declared_in_the_default_vhost(unit: Unit) -> set[str]:
    """Queue names that a unit's cells declare as literals, where they do not make a vhost of their own."""
    text = unit.source.read_text()
    if "fresh_vhost" in text or '"vhosts": [' in text:
        return set()
    names = set()
    for tree in trees(unit):
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            if call.func.attr == "queue_declare":
                names |= {k.value.value for k in call.keywords if k.arg == "queue" and isinstance(k.value, ast.Constant)}
    return names - {""}


def test_no_two_notebooks_use_the_same_queue():
    """Notebooks run at the same time in one vhost."""
    owner = {}
    for unit in RUNNABLE:
        for name in declared_in_the_default_vhost(unit):
            assert owner.setdefault(name, unit) == unit, f"{name} belongs to {owner[name].short}, and {unit.short} declares it too"


@pytest.mark.parametrize("unit", GRADED, ids=named)
class TestExercise:
    def test_has_all_its_parts(self, unit):
        for path in (unit.page, unit.pristine, unit.grader, unit.hints, unit.solution, unit.source, unit.notebook):
            assert path.exists(), f"{unit.short} has no {path.relative_to(ROOT)}"

    def test_stub_and_solution_have_one_contract(self, unit):
        for stub, solution in zip(python_files(unit.pristine), python_files(unit.solution), strict=True):
            assert stub.name == solution.name
            assert contract(stub) == contract(solution), f"{stub.relative_to(ROOT)} and its solution promise different things"

    def test_has_three_hints(self, unit):
        assert len(re.findall(r"^## ", unit.hints.read_text(), re.M)) == 3

    def test_has_wrong_answers_each_with_a_mistake_of_its_own(self, unit):
        promises = [verify.mistake(path) for path in unit.wrong_answers]
        assert len(promises) >= FEWEST_WRONG_ANSWERS
        assert len(set(promises)) > len(promises) / 2, "most wrong answers should fail with feedback of their own"

    def test_wrong_answers_of_a_project_hold_only_what_differs_from_the_solution(self, unit):
        for path in (path for path in unit.wrong_answers if path.is_dir()):
            changed = [file for file in path.glob("*.py") if file.name != "__init__.py"]
            assert changed, f"{path.relative_to(ROOT)} changes nothing"
            for file in changed:
                assert file.read_text() != (unit.solution / file.name).read_text(), f"{file.relative_to(ROOT)} is the solution's"
            with verify.whole(unit, path) as answer:
                assert [file.name for file in python_files(answer)] == [file.name for file in python_files(unit.solution)]
                assert all((answer / file.name).read_text() == file.read_text() for file in path.glob("*.py"))

    def test_each_check_rejects_some_wrong_answer(self, unit):
        """A check that no wrong answer fails proves nothing."""
        checks = {node.name for node in ast.parse(unit.grader.read_text()).body if isinstance(node, ast.FunctionDef)}
        checks = {name for name in checks if name.startswith("test_")}
        named_by_mistakes = {verify.mistake(path).fails for path in unit.wrong_answers}
        assert named_by_mistakes <= checks, f"no such check: {named_by_mistakes - checks}"
        assert checks <= named_by_mistakes, f"no wrong answer fails {checks - named_by_mistakes}"


def python_files(path: Path) -> list[Path]:
    return sorted(path.glob("*.py")) if path.is_dir() else [path]


def contract(path: Path) -> dict:
    """Public functions and classes with their signatures and docstrings."""
    tree = ast.parse(path.read_text())
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            found[node.name] = described(node)
            if isinstance(node, ast.ClassDef):
                for part in node.body:
                    if isinstance(part, ast.FunctionDef) and (part.name == "__init__" or not part.name.startswith("_")):
                        found[f"{node.name}.{part.name}"] = described(part)
    return found


def described(node: ast.FunctionDef | ast.ClassDef) -> tuple:
    return (ast.unparse(node.args) if isinstance(node, ast.FunctionDef) else "", ast.get_docstring(node))


@pytest.mark.parametrize("unit", QUIZZES, ids=named)
def test_a_quiz_has_fifteen_questions(unit):
    assert unit.page.read_text().count("<quiz>") == 15


PROSE = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("solutions/**/*.md"), *ROOT.glob("exercises/**/*.md")]


@pytest.mark.parametrize("page", PROSE, ids=lambda p: str(p.relative_to(ROOT)))
def test_prose_does_not_tell_a_stuck_reader_that_they_are_slow(page):
    prose = re.sub(r"```.*?```|`[^`\n]*`|<[^>]*>|!\[|^\s*> \[!\w+\]|!!!|\?\?\?", "", page.read_text(), flags=re.S | re.M)
    found = re.findall(r"\b(?:simply|easily|obviously|straightforward)\b|\w!(?:\s|$)", prose, re.I)
    assert not found, f"{page}: {found}"


def tracked() -> list[Path]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if names.returncode:
        pytest.skip("not a git checkout: the files of a download are not listed")
    return [ROOT / name for name in names.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_package_registry_or_a_machine():
    hosts = "|".join(
        re.escape(host) for host in ("pypi" + ".org", "pythonhosted" + ".org", "registry.npmjs" + ".org", "deb.debian" + ".org")
    )
    forbidden = re.compile(rf"https?://[^\s\"')]*(?:{hosts})|/(?:root|work)/")
    named_by = [p for p in tracked() if p.suffix not in (".png", ".ico") and forbidden.search(p.read_text(errors="replace"))]
    assert not named_by


def test_no_file_is_over_a_megabyte():
    assert not [p for p in tracked() if p.stat().st_size > 1_000_000]


def test_every_public_function_of_the_package_says_what_it_is_for():
    silent = []
    for path in (ROOT / "rabbitlab").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith(("_", "pytest_", "on_"))
            if public and not ast.get_docstring(node):
                silent.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert not silent


def test_modules_in_preparation_say_so():
    for module in units.modules():
        if not list((ROOT / "docs" / module).glob("0*.md")):
            assert "in preparation" in (ROOT / "docs" / module / "README.md").read_text().lower(), module


def test_solutions_can_be_imported():
    for unit in GRADED:
        for path in python_files(unit.solution):
            if path.name != "__init__.py" and unit.kind == "exercise":
                spec = util.spec_from_file_location(unit.stem, path)
                module = util.module_from_spec(spec)
                spec.loader.exec_module(module)
                assert any(inspect.isfunction(value) for value in vars(module).values())
