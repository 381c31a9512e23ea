"""The shell script `lab`, with stand-ins for Python, uv and apt-get that write down how they are called: no network, no waiting."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from rabbitlab.units import ROOT

# One stand-in for the machine's Python and for the one in .venv: the place that it is copied to is what tells them apart.
PYTHON = r"""#!/bin/sh
case "$1 $2" in
    "-c "*"print(os.path"*) [ -z "$TOO_OLD" ] && echo "$0" || exit 1 ;;
    "-c "*ensurepip*) [ ! -e "$FAKES/no-ensurepip" ] ;;
    "-c "*) echo 3.11 ;;
    "--version ") echo "Python 3.9.2" ;;
    "-m venv") echo "venv" >> "$CALLS"; mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
    "-m pip")
        echo "pip $*" >> "$CALLS"
        turns=0
        while [ -e "$FAKES/slow" ] && [ $turns -lt 100 ]; do sleep 0.1; turns=$((turns + 1)); done
        [ ! -e "$FAKES/broken" ] || { echo "no such package"; exit 1; } ;;
    "-P -m") shift 2; printf '%s|' "$@"; pwd ;;
esac
"""
UV = r"""#!/bin/sh
echo "uv $*" >> "$CALLS"
for last; do :; done
[ "$1" != venv ] || { mkdir -p "$last/bin"; cp "$FAKES/python3" "$last/bin/python"; }
"""
APT = """#!/bin/sh
echo "apt-get $*" >> "$CALLS"
rm -f "$FAKES/no-ensurepip"
"""
SUDO = """#!/bin/sh
[ "$1" = -v ] || exec "$@"
"""
TOOLS = "sh cat cmp cp cut dirname env grep id kill ln mkdir mv ps pwd readlink rm sleep tail tr"


class Place:
    """A copy of the script in a directory of its own (with a space in its name), and the stand-ins."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "the course"
        self.fakes = folder / "fakes"
        self.calls_file = folder / "calls"
        self.root.mkdir()
        self.fakes.mkdir()
        shutil.copy(ROOT / "lab", self.root)
        (self.root / "requirements.lock").write_text("pika==1.4.4 \\\n")
        (self.root / "pyproject.toml").write_text("[project]\n")
        for tool in TOOLS.split():
            found = shutil.which(tool)
            if found:
                (self.fakes / tool).symlink_to(found)
        self.fake("python3", PYTHON)
        self.fake("sudo", SUDO)

    def fake(self, name: str, text: str) -> None:
        (self.fakes / name).write_text(text)
        (self.fakes / name).chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": str(self.fakes), "CALLS": str(self.calls_file), "FAKES": str(self.fakes), "TOO_OLD": ""}

    def begin(self, *arguments: str, cwd: Path | None = None, script: Path | None = None, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            [script or self.root / "lab", *arguments],
            cwd=cwd or self.root,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **options) -> subprocess.CompletedProcess:
        process = self.begin(*arguments, **options)
        out, err = process.communicate(timeout=20)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []

    def until(self, condition) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, "waited 10 s"
            time.sleep(0.02)

    def is_whole(self) -> bool:
        return (self.root / ".venv" / "lab" / "place").exists()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_first_run_makes_the_environment_and_every_run_passes_its_words_on(place):
    first = place.run("check", "1/ex 01")
    assert first.stdout == f"rabbitlab|check|1/ex 01|{place.root}\n"
    assert first.stderr.splitlines()[1:] == [
        f"1/3 {place.fakes}/python3",
        "2/3 installing 1 packages from requirements.lock with pip",
        "3/3 installing the course's own package",
    ]
    lock, own = (call for call in place.calls() if call.startswith("pip"))
    assert lock.endswith(f"--require-hashes -r {place.root}/requirements.lock")
    assert own.endswith(f"--no-deps --no-build-isolation -e {place.root}")

    made = place.calls()
    second = place.run("status")
    assert (second.stdout, second.stderr) == (f"rabbitlab|status|{place.root}\n", "")
    assert place.calls() == made


def test_a_second_run_costs_less_than_a_third_of_a_second(place):
    place.run()
    took = []
    for _ in range(5):
        began = time.monotonic()
        place.run()
        took.append(time.monotonic() - began)
    assert min(took) < 0.3


def test_uv_is_taken_where_there_is_one(place):
    place.fake("uv", UV)
    place.run()
    assert [call.split()[1] for call in place.calls()] == ["venv", "pip", "pip"]
    assert "--require-hashes" in place.calls()[1]
    assert "--no-build-isolation" in place.calls()[2]


def test_it_runs_from_elsewhere_and_through_a_link_and_stays_where_the_reader_is(place, tmp_path):
    place.run()
    link = tmp_path / "fakes" / "mylab"
    link.symlink_to("../the course/lab")
    assert place.run("up", cwd=tmp_path).stdout == f"rabbitlab|up|{tmp_path}\n"
    assert place.run("up", cwd=tmp_path, script=link).stdout == f"rabbitlab|up|{tmp_path}\n"


def test_a_changed_lock_makes_the_environment_again_a_changed_pyproject_only_installs_the_package(place):
    place.run()
    place.calls_file.unlink()
    (place.root / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    place.run()
    assert [call.split()[0] for call in place.calls()] == ["pip"]
    (place.root / "requirements.lock").write_text("pika==1.4.5 \\\n")
    place.run()
    assert [call.split()[0] for call in place.calls()] == ["pip", "venv", "pip", "pip"]


def test_a_file_with_a_new_date_and_the_same_content_changes_nothing(place):
    place.run()
    place.calls_file.unlink()
    for name in ("requirements.lock", "pyproject.toml"):
        os.utime(place.root / name)
    place.run()
    assert place.calls() == []


@pytest.mark.parametrize("damage", ["python removed", "moved"])
def test_a_broken_environment_is_made_again(place, damage):
    place.run()
    place.calls_file.unlink()
    if damage == "moved":
        place.root = place.root.rename(place.root.with_name("elsewhere"))
    else:
        (place.root / ".venv" / "bin" / "python").unlink()
    assert place.run("up").stdout == f"rabbitlab|up|{place.root}\n"
    assert "venv" in place.calls()


def test_an_installation_that_fails_says_why_and_is_not_believed(place):
    (place.fakes / "broken").touch()
    failed = place.run("up")
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert "no such package" in failed.stderr
    assert "environment.log" in failed.stderr
    (place.fakes / "broken").unlink()
    assert place.run("up").returncode == 0


@pytest.mark.parametrize("whom", ["the script", "the script and what it started"])
def test_after_a_kill_the_next_run_begins_again(place, whom):
    (place.fakes / "slow").touch()
    killed = place.begin("up")
    place.until(lambda: any(call.startswith("pip") for call in place.calls()))
    if whom == "the script":
        killed.kill()
    else:
        os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not place.is_whole()
    (place.fakes / "slow").unlink()
    place.calls_file.unlink()
    again = place.run("up")
    assert again.stdout == f"rabbitlab|up|{place.root}\n", again.stderr
    assert "venv" in place.calls()


def test_an_interrupt_ends_the_installer_too_and_gives_the_lock_back(place):
    (place.fakes / "slow").touch()
    stopped = place.begin("up")
    place.until(lambda: any(call.startswith("pip") for call in place.calls()))
    stopped.terminate()
    stopped.communicate(timeout=5)
    assert stopped.returncode == 143
    assert not (place.root / ".lab" / "environment.lock").is_symlink()
    assert not place.is_whole()


def test_two_at_once_make_one_environment(place):
    (place.fakes / "slow").touch()
    first = place.begin("up")
    place.until(lambda: any(call.startswith("pip") for call in place.calls()))
    second = place.begin("status")
    said = second.stderr.readline()
    (place.fakes / "slow").unlink()
    assert "Another ./lab" in said
    assert first.communicate(timeout=20)[0] == f"rabbitlab|up|{place.root}\n"
    assert second.communicate(timeout=20)[0] == f"rabbitlab|status|{place.root}\n"
    assert place.calls().count("venv") == 1


def test_the_lock_of_a_dead_process_is_taken(place):
    finished = subprocess.Popen(["true"])
    finished.wait()
    (place.root / ".lab").mkdir()
    (place.root / ".lab" / "environment.lock").symlink_to(str(finished.pid))
    assert place.run("up").returncode == 0


def test_without_a_new_enough_python_it_says_what_to_install(place):
    failed = place.run("up", TOO_OLD="yes")
    assert failed.returncode == 1
    assert "Python 3.11 or newer; found: Python 3.9.2" in failed.stderr


def test_a_missing_ensurepip_names_the_package_and_with_yes_installs_it(place):
    (place.fakes / "no-ensurepip").touch()
    place.fake("apt-get", APT)
    asked = place.run("start")
    assert asked.returncode == 1
    assert "sudo apt-get install python3.11-venv" in asked.stderr
    assert not any(call.startswith("apt-get") for call in place.calls())

    done = place.run("start", "--yes")
    assert done.stdout == f"rabbitlab|start|--yes|{place.root}\n", done.stderr
    assert any("install" in call and "python3.11-venv" in call for call in place.calls())
