"""The learner's loop, on a small copy of the course: check, watch, hint, reset, progress; and the stubs that reset puts back."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from rabbitlab import units
from rabbitlab.errors import Mendable
from rabbitlab.grading import loop
from rabbitlab.grading import progress as kept
from rabbitlab.units import ROOT, Unit

MODULE, STEM = "module_1_foundations", "ex_01_first_producer"
UNIT = Unit(MODULE, STEM)
PARTS = (
    f"docs/{MODULE}/04_hello_world.md",
    f"docs/{MODULE}/exercises/{STEM}.md",
    f"exercises/{MODULE}/test_{STEM}.py",
    f"exercises/{MODULE}/{STEM}.hints.md",
    f"exercises/.pristine/{MODULE}/{STEM}.py",
)


@pytest.fixture
def course(tmp_path, monkeypatch) -> Path:
    """A course of one lesson, one exercise with an untouched stub, and one project; and no progress."""
    for part in PARTS:
        (tmp_path / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / part, tmp_path / part)
    shutil.copyfile(tmp_path / PARTS[-1], tmp_path / f"exercises/{MODULE}/{STEM}.py")
    (tmp_path / f"docs/{MODULE}/project_1_parts.md").write_text("# A project\n")
    (tmp_path / f"exercises/{MODULE}/test_project_1_parts.py").write_text('"""Project 1."""\n')
    for folder in ("exercises", "exercises/.pristine"):
        package = tmp_path / folder / MODULE / "project_1_parts"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "hub.py").write_text("def join():\n    raise NotImplementedError\n")
    monkeypatch.setattr(units, "ROOT", tmp_path)
    monkeypatch.setattr(units, "STATE", tmp_path / ".lab")
    return tmp_path


class TestHint:
    def test_three_hints_one_by_one_and_then_the_third_again(self, course, capsys):
        shown = []
        for _ in range(4):
            loop.hint("1/ex_01")
            shown.append(capsys.readouterr().out)

        assert [re.search(r"Hint \d of 3", text)[0] for text in shown] == ["Hint 1 of 3", "Hint 2 of 3", "Hint 3 of 3", "Hint 3 of 3"]
        assert "./lab hint 1/ex_01" in shown[0]
        assert f"solutions/{MODULE}/{STEM}.py" in shown[2]
        assert "last hint already" in shown[3]
        assert kept.load()[UNIT.key].hints == 3

    def test_an_exercise_without_hints_says_so(self, course):
        UNIT.hints.unlink()
        with pytest.raises(Mendable, match="no hints for 1/ex_01"):
            loop.hint("1/ex_01")

    def test_a_lesson_has_none(self, course):
        with pytest.raises(Mendable, match=r"1/04 is a lesson, which is not graded. Graded in this module: 1/ex_01, 1/project"):
            loop.hint("1/04")


class TestReset:
    def test_the_stub_comes_back_and_the_answer_stays(self, course, capsys):
        UNIT.stub.write_text("mine = True\n")
        loop.reset("1/ex_01", yes=True)

        (backup,) = UNIT.stub.parent.glob("*.bak.py")
        assert re.fullmatch(rf"{STEM}\.\d{{8}}-\d{{6}}\.bak\.py", backup.name)
        assert backup.read_text() == "mine = True\n"
        assert UNIT.stub.read_bytes() == UNIT.pristine.read_bytes()
        assert backup.name in capsys.readouterr().out

    def test_a_project_comes_back_whole(self, course):
        project = Unit(MODULE, "project_1_parts")
        (project.stub / "hub.py").write_text("mine = True\n")
        (project.stub / "test_mine.py").write_text("def test_mine(): pass\n")
        loop.reset("1/project", yes=True)

        (backup,) = project.stub.parent.glob("*.bak")
        assert (backup / "test_mine.py").exists()
        assert sorted(p.name for p in project.stub.iterdir()) == ["__init__.py", "hub.py"]

    def test_twice_in_a_second_keeps_both(self, course):
        for text in ("first = 1\n", "second = 2\n"):
            UNIT.stub.write_text(text)
            loop.reset("1/ex_01", yes=True)
        assert sorted(p.read_text() for p in UNIT.stub.parent.glob("*.bak.py")) == ["first = 1\n", "second = 2\n"]

    def test_it_asks_first(self, course, monkeypatch):
        UNIT.stub.write_text("mine = True\n")
        monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115 - nobody answers
        with pytest.raises(typer.Abort):
            loop.reset("1/ex_01")
        assert UNIT.stub.read_text() == "mine = True\n"
        assert not list(UNIT.stub.parent.glob("*.bak.py"))

    def test_an_untouched_stub_stays(self, course, capsys):
        loop.reset("1/ex_01")
        assert "nothing to put back" in capsys.readouterr().out

    def test_a_deleted_answer_comes_back(self, course):
        UNIT.stub.unlink()
        loop.reset("1/ex_01")
        assert UNIT.stub.exists()

    def test_backups_are_ignored_by_git_and_by_pytest(self, tmp_path):
        ignored = (ROOT / ".gitignore").read_text().split()
        assert "*.bak.py" in ignored
        assert "*.bak/" in ignored
        backup = tmp_path / "project_1.20260101-120000.bak"
        backup.mkdir()
        (backup / "test_mine.py").write_text("def test_mine(): pass\n")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "rabbitlab.grading.plugin", "-p", "no:cacheprovider", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
        assert "no tests ran" in done.stdout


class TestProgress:
    def test_tries_and_the_best_time_are_kept(self, course, capsys):
        kept.record(UNIT.key, passed=False, seconds=3)
        assert kept.load()[UNIT.key].state == "tried"
        kept.record(UNIT.key, passed=True, seconds=2)
        kept.record(UNIT.key, passed=True, seconds=1.2)
        kept.record(UNIT.key, passed=False, seconds=0.1)

        assert kept.load()[UNIT.key] == kept.Done(tries=4, passed=True, best=1.2, hints=0)
        loop.progress()
        shown = capsys.readouterr().out
        assert re.search(r"1/ex_01 .* passed +4 +1.2 s", shown)
        assert re.search(r"1/project .* not started", shown)
        assert "1/04" in shown
        assert "1 of 2 exercises and projects passed" in shown

    @pytest.mark.parametrize("text", ["{ not json", "[1, 2]", '{"a": 3}', "\x00"])
    def test_a_broken_file_is_kept_aside(self, course, capsys, text):
        units.STATE.mkdir()
        (units.STATE / "progress.json").write_text(text)
        kept.record(UNIT.key, passed=True, seconds=1)

        (aside,) = units.STATE.glob("progress.*.broken.json")
        assert aside.read_text() == text
        assert aside.name in capsys.readouterr().err
        assert kept.load()[UNIT.key].passed

    def test_no_half_written_file_is_left(self, course):
        kept.record(UNIT.key, passed=True, seconds=1)
        assert sorted(p.name for p in units.STATE.iterdir()) == ["progress.json", "progress.lock"]


@pytest.mark.parametrize("unit", [unit for unit in units.every() if unit.kind == "exercise"], ids=lambda unit: unit.short)
def test_what_comes_next_is_what_the_brief_says(unit):
    following = loop._after(unit)
    said = re.search(r"(?m)^Next: .*", unit.page.read_text())
    if said and (lesson := re.match(r"Next: \[?lesson (\d)\.(\d)", said[0])):
        assert following.short == f"{lesson[1]}/0{lesson[2]}"
    elif said:
        assert following.stem in said[0] or following.kind in said[0]
    else:
        assert following.kind == "lesson"


def test_a_project_is_followed_by_the_next_module():
    projects = [unit for unit in units.every() if unit.kind == "project"]
    assert [following and following.short for following in map(loop._after, projects)] == ["2/01", "3/01", "4/01", None]


def test_saved_files_mean_units(course):
    folder = course / "exercises" / MODULE
    assert loop.saved([folder / f"{STEM}.py"]) == [UNIT]
    assert loop.saved([folder / f"test_{STEM}.py"]) == [UNIT]
    assert [u.short for u in loop.saved([folder / "project_1_parts" / "hub.py"])] == ["1/project"]
    for other in (f"{STEM}.20260101-120000.bak.py", "notes.txt", "__pycache__/x.py"):
        assert loop.saved([folder / other]) == []
    assert loop.saved([course / "exercises" / ".pristine" / MODULE / f"{STEM}.py"]) == []


def run_in(course: Path, *arguments: str, **kwargs) -> subprocess.Popen:
    """``./lab`` on the small course, whose commands run in this copy of the package."""
    script = (
        "import sys\nfrom pathlib import Path\nfrom rabbitlab import units, nodes\n"
        f"units.ROOT = Path({str(course)!r})\nunits.STATE = units.ROOT / '.lab'\n"
        f"{kwargs.pop('before', '')}\n"
        "from rabbitlab.cli import main\nmain()\n"
    )
    (course / "lab.py").write_text(script)
    return subprocess.Popen(
        [sys.executable, str(course / "lab.py"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=course,
        **kwargs,
    )


def said_in(course: Path, *arguments: str, **kwargs) -> tuple[str, int]:
    run = run_in(course, *arguments, **kwargs)
    return run.communicate(timeout=60)[0], run.returncode


@pytest.mark.cluster
class TestCheck:
    def test_from_untouched_to_passed(self, course):
        shown, code = said_in(course, "check", "1/ex_01")
        assert "Not started yet" in shown
        assert f"The brief: docs/{MODULE}/exercises/{STEM}.md" in shown
        assert code == 1
        assert kept.load() == {}, "an untouched stub is no try"

        shutil.copyfile(ROOT / "tests" / "wrong_answers" / MODULE / STEM / "misspelt_key.py", UNIT.stub)
        shown, code = said_in(course, "check", "1/ex_01")
        assert "✗ Each order becomes one message" in shown
        assert "and it is empty" in shown
        assert "./lab hint 1/ex_01 shows hint 1 of 3." in shown
        assert code == 1

        shutil.copyfile(ROOT / "solutions" / MODULE / f"{STEM}.py", UNIT.stub)
        shown, code = said_in(course, "check", f"{MODULE}/{STEM}")
        assert "8 of 8 checks passed" in shown
        assert f"Next: 1/project, docs/{MODULE}/project_1_parts.md" in shown
        assert code == 0
        done = kept.load()[UNIT.key]
        assert (done.tries, done.passed) == (2, True)

    def test_saving_grades(self, course):
        run = run_in(course, "watch", "--poll", before=WATCHED)
        try:
            assert "Save an exercise" in run.stdout.readline()
            end = time.monotonic() + 30
            lines = []
            os.set_blocking(run.stdout.fileno(), False)
            while time.monotonic() < end and not any("graded" in line for line in lines):
                UNIT.stub.write_text(f"# saved at {time.monotonic()}\n")
                time.sleep(0.5)  # the poll's own interval
                lines += run.stdout.readlines()
            assert any(f"graded {UNIT.key}" in line for line in lines)
            os.set_blocking(run.stdout.fileno(), True)
            run.send_signal(signal.SIGINT)
            shown, _ = run.communicate(timeout=20)
            assert "No longer watching." in shown
            assert "Traceback" not in shown
            assert run.returncode == 0
        finally:
            run.kill()


# The watcher's own work is to see what was saved and to call check for it; check is tested above.
WATCHED = """
from rabbitlab.grading import loop
loop.subprocess.run = lambda command, **_: print("graded", command[-1], flush=True)
"""


def test_without_a_cluster_one_sentence_says_what_starts_it(course):
    nowhere = (
        "nodes.NODES = tuple(nodes.Node(f'rabbit{n}', amqp=n, management=n, metrics=n) for n in (1, 2, 3)); nodes.LOAD_BALANCER_PORT = 4\n"
        "from rabbitlab import lock; lock.FOLDER = units.STATE"  # whoever breaks the real cluster meanwhile is waited for, and that is told
    )
    shown, code = said_in(course, "check", "1/ex_01", before=nowhere)
    assert shown.strip() == "The cluster is not running. Start it with: ./lab up"
    assert code == 1


def graded_units() -> list[Unit]:
    return [unit for unit in units.every() if unit.graded]


@pytest.mark.skipif(not os.environ.get("CI"), reason="exercises/ may hold your answers; CI compares the course's own state")
@pytest.mark.parametrize("unit", graded_units(), ids=lambda u: u.short)
def test_what_reset_puts_back_is_the_stub(unit):
    assert loop._same(unit.stub, unit.pristine), (
        f"{unit.stub.relative_to(ROOT)} and its copy differ. Mend it: rm -rf {unit.pristine.relative_to(ROOT)}; "
        f"cp -r {unit.stub.relative_to(ROOT)} {unit.pristine.relative_to(ROOT)}"
    )


def headings(page: Path) -> set[str]:
    return set(re.findall(r"(?m)^#+ (.*)$", page.read_text()))


LOOKING = [*(ROOT / "exercises").glob("module_*/test_*.py"), ROOT / "rabbitlab" / "grading" / "rules.py"]


@pytest.mark.parametrize("file", LOOKING, ids=lambda p: p.name)
def test_feedback_points_at_sections_that_are_there(file):
    pattern = r"(Reference page of )?[Ll]esson (\d)\.(\d), \\?'([^'\\]+)\\?'"
    for reference, module, lesson, heading in re.findall(pattern, file.read_text()):
        (page,) = ROOT.glob(f"docs/module_{module}_*/{'reference_' if reference else ''}{int(lesson):02}_*.md")
        assert heading in headings(page), f"{file.name} points at {module}.{lesson}, {heading!r}"
    vague = re.findall(r"[Ll]esson \d\.\d, (?!\\?'|the table|its first lines).*", file.read_text())
    assert not vague, f"{file.name} points at no section by its heading: {vague}"


def test_an_ordinary_pytest_run_loads_nothing_of_the_grader(tmp_path):
    (tmp_path / "test_other.py").write_text(
        "import sys\ndef test_other():\n    assert not [m for m in sys.modules if m.startswith('rabbitlab.grading.') and "
        "m.rpartition('.')[2] not in ('feedback', 'plugin', 'autoload')]\n    assert 'pika' not in sys.modules\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "rabbitlab.grading.plugin", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    assert "1 passed" in done.stdout
    assert "rabbitlab" not in done.stdout.replace(str(tmp_path), "")


def test_results_are_written_whole(tmp_path):
    from rabbitlab.grading.results import FAILED, Check, Results, write

    results = Results("module_9_x/ex_01_y", "Exercise 9.1.", tmp_path / "ex_01_y.py", verdict="failed", seconds=1.23456)
    results.checks = [Check("test_a_b"), Check("test_case[one two]", FAILED, ("Saw it.", "A rule.", "There"))]
    write(tmp_path / "new" / "r.json", [results])

    told = json.loads((tmp_path / "new" / "r.json").read_text())
    assert [c["sentence"] for c in told["checks"]] == ["A b", "Case (one two)"]
    assert [c["outcome"] for c in told["checks"]] == ["not_reached", "failed"]
    assert told["checks"][1]["feedback"] == "Saw it.\nA rule.\nThere"
    assert (told["passed"], told["verdict"], told["seconds"]) == (False, "failed", 1.235)
