"""One name finds everything."""

from pathlib import Path

import pytest

from rabbitlab import units
from rabbitlab.units import Unit, UnknownUnit

PAGES = {
    "module_1_foundations": [
        "README",
        "01_introduction",
        "02_messaging_concepts",
        "reference_02_messaging_concepts",
        "quiz_module_1",
        "project_1_simple_chat",
    ],
    "module_2_core_concepts": ["README", "01_amqp_model", "quiz_module_2"],
    "module_5_capstone": ["capstone_marketplace"],
}
EXERCISES = {"module_1_foundations": ["ex_01_first_producer", "ex_02_first_consumer"], "module_2_core_concepts": ["ex_01_exchange_types"]}
EX_01 = "module_1_foundations/ex_01_first_producer"


@pytest.fixture(autouse=True)
def course(tmp_path, monkeypatch) -> Path:
    """A small course in a folder of its own."""
    for module, stems in PAGES.items():
        for stem in stems:
            _write(tmp_path / "docs" / module / f"{stem}.md")
    for module, stems in EXERCISES.items():
        for stem in stems:
            _write(tmp_path / "docs" / module / "exercises" / f"{stem}.md")
    monkeypatch.setattr(units, "ROOT", tmp_path)
    return tmp_path


def _write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# A page\n")


def test_units_come_in_the_order_of_the_course():
    assert [unit.short for unit in units.every("module_1_foundations")] == [
        "1/01",
        "1/02",
        "1/reference_02",
        "1/ex_01",
        "1/ex_02",
        "1/quiz",
        "1/project",
    ]


def test_a_readme_is_no_unit():
    assert "README" not in {unit.stem for unit in units.every()}


@pytest.mark.parametrize(
    ("stem", "kind"),
    [
        ("01_introduction", "lesson"),
        ("reference_02_messaging_concepts", "reference"),
        ("ex_01_first_producer", "exercise"),
        ("quiz_module_1", "quiz"),
        ("project_1_simple_chat", "project"),
    ],
)
def test_the_stem_says_what_kind_a_unit_is(stem, kind):
    assert Unit("module_1_foundations", stem).kind == kind


@pytest.mark.parametrize(
    "name", ["1/01", "1/02", "1/reference_02", "1/ex_01", "1/ex_02", "1/quiz", "1/project", "2/01", "2/ex_01", "2/quiz"]
)
def test_a_short_name_finds_its_unit(name):
    assert units.find_one(name).short == name


@pytest.mark.parametrize(
    "name",
    [
        EX_01,
        "1/ex_01_first_producer",
        "1/ex_01_first",
        f"exercises/{EX_01}.py",
        f"./exercises/{EX_01}.py",
        "exercises/module_1_foundations/test_ex_01_first_producer.py",
        f"solutions/{EX_01}.ipynb",
        "docs/module_1_foundations/exercises/ex_01_first_producer.md",
        f"/somewhere/else/exercises/{EX_01}.py",
    ],
)
def test_a_key_or_the_path_of_any_file_finds_the_unit(name):
    assert units.find_one(name).key == EX_01


@pytest.mark.parametrize("name", ["1/project", "exercises/module_1_foundations/project_1_simple_chat/hub.py"])
def test_a_file_inside_a_project_finds_the_project(name):
    assert units.find_one(name).key == "module_1_foundations/project_1_simple_chat"


def test_a_bare_number_is_the_module():
    assert {unit.module for unit in units.find("2")} == {"module_2_core_concepts"}


def test_no_name_is_everything():
    assert units.find("") == units.every()


def test_every_key_finds_itself():
    assert [units.find_one(unit.key) for unit in units.every()] == units.every()


@pytest.mark.parametrize(
    ("name", "said"),
    [("9", "Modules: 1, 2, 5"), ("1/ex", "1/ex_01, 1/ex_02"), ("1/ex_09", "Try one of: 1/01"), ("nonsense", "Try one of: 1/01")],
)
def test_an_unknown_name_is_answered_with_those_that_would_do(name, said):
    with pytest.raises(UnknownUnit, match=said):
        units.find_one(name)


def test_a_module_is_not_one_unit():
    with pytest.raises(UnknownUnit, match="whole module"):
        units.find_one("1")


def test_the_files_of_an_exercise(course):
    unit = units.find_one("1/ex_01")
    assert {
        "page": "docs/module_1_foundations/exercises/ex_01_first_producer.md",
        "source": f"solutions/{EX_01}.md",
        "notebook": f"solutions/{EX_01}.ipynb",
        "stub": f"exercises/{EX_01}.py",
        "solution": f"solutions/{EX_01}.py",
        "grader": "exercises/module_1_foundations/test_ex_01_first_producer.py",
        "hints": f"exercises/{EX_01}.hints.md",
    } == {
        name: str(getattr(unit, name).relative_to(course)) for name in ("page", "source", "notebook", "stub", "solution", "grader", "hints")
    }


def test_a_lesson_is_its_own_source(course):
    unit = units.find_one("1/01")
    assert unit.source == unit.page == course / "docs/module_1_foundations/01_introduction.md"
    assert unit.notebook == course / "notebooks/module_1_foundations/01_introduction.ipynb"


def test_a_project_is_a_folder(course):
    unit = units.find_one("1/project")
    assert unit.stub == course / "exercises/module_1_foundations/project_1_simple_chat"
    assert unit.solution == course / "solutions/module_1_foundations/project_1_simple_chat"


def test_wrong_answers_are_programs_and_packages_and_nothing_else(course):
    folder = course / "tests" / "wrong_answers" / EX_01
    for path in ("forgets.py", "a_package/__init__.py", "notes.md", "no_package/part.py"):
        _write(folder / path)
    assert [path.name for path in units.find_one("1/ex_01").wrong_answers] == ["a_package", "forgets.py"]
