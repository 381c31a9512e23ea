"""Finding, installing and starting Docker, with stand-ins for docker, apt-get and the like that write down how they are called."""

import os
import sys

import pytest

from rabbitlab import consent, debian, engine
from rabbitlab.errors import Mendable

DOCKER = """#!/bin/sh
echo "docker $*" >> "$CALLS"
case "$1 $2" in
    "version "*) [ -e "$FAKES/engine-runs" ] && echo 28.0 || { cat "$FAKES/engine-says" >&2; exit 1; } ;;
    "compose version") [ -e "$FAKES/plugin" ] && cat "$FAKES/plugin" || exit 1 ;;
esac
"""
APT_GET = """#!/bin/sh
echo "apt-get $*" >> "$CALLS"
case "$*" in *docker.io*) cp "$FAKES/later-docker" "$FAKES/docker"; cp "$FAKES/later-docker" "$FAKES/dockerd" ;; esac
case "$*" in *docker-compose-v2*) echo 2.30.1 > "$FAKES/plugin" ;; esac
case "$*" in *no-such-package*) echo "E: Unable to locate package"; exit 100 ;; esac
"""
APT_CACHE = """#!/bin/sh
for package; do :; done
[ -e "$FAKES/candidate-$package" ] && printf '%s:\\n  Candidate: %s\\n' "$package" "$(cat "$FAKES/candidate-$package")"
exit 0
"""
SERVICE = """#!/bin/sh
echo "service $*" >> "$CALLS"
touch "$FAKES/engine-runs"
"""
NOT_RUNNING = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock."


class Machine:
    """A PATH with nothing on it but stand-ins."""

    def __init__(self, folder):
        self.fakes = folder / "fakes"
        self.fakes.mkdir()
        self.calls_file = folder / "calls"
        self.calls_file.touch()
        for tool in ("sh", "cat", "cp", "touch", "env"):
            (self.fakes / tool).symlink_to(next(p for p in ("/usr/bin", "/bin") if os.path.exists(f"{p}/{tool}")) + f"/{tool}")
        self.write("engine-says", NOT_RUNNING)
        self.write("later-docker", DOCKER)

    def write(self, name, text):
        path = self.fakes / name
        path.write_text(text)
        path.chmod(0o755)

    def calls(self):
        return self.calls_file.read_text().splitlines()


@pytest.fixture
def machine(tmp_path, monkeypatch):
    machine = Machine(tmp_path)
    monkeypatch.setenv("PATH", str(machine.fakes))
    monkeypatch.setenv("FAKES", str(machine.fakes))
    monkeypatch.setenv("CALLS", str(machine.calls_file))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(debian, "SBIN", str(machine.fakes))
    monkeypatch.setattr(debian, "OS_RELEASE", tmp_path / "os-release")
    monkeypatch.setattr(debian, "LOG", tmp_path / "install.log")
    monkeypatch.setattr(debian.os, "geteuid", lambda: 0)
    monkeypatch.setattr(engine, "STATE", tmp_path)
    monkeypatch.setattr(engine, "DOCKERD_LOG", tmp_path / "dockerd.log")
    monkeypatch.setattr(engine, "START_WITHIN", 2)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    engine.compose_command.cache_clear()
    yield machine
    engine.compose_command.cache_clear()


@pytest.fixture
def ubuntu(machine, tmp_path):
    (tmp_path / "os-release").write_text('ID=ubuntu\nID_LIKE="debian"\n')
    machine.write("apt-get", APT_GET)
    machine.write("apt-cache", APT_CACHE)
    machine.write("candidate-docker-compose-v2", "2.30.1+ds1-0ubuntu1")
    return machine


@pytest.fixture
def engine_running(machine):
    machine.write("docker", DOCKER)
    machine.write("engine-runs", "")
    return machine


def test_an_engine_and_a_compose_that_are_there_are_left_alone(engine_running):
    engine_running.write("plugin", "2.40.3-3\n")
    engine.ensure()
    assert engine.compose_command() == ("docker", "compose")


@pytest.mark.parametrize(
    ("plugin", "dashed", "command"),
    [
        ("2.23.0", None, ("docker", "compose")),
        ("v2.40.3-3", "2.30.0", ("docker", "compose")),
        ("5.0.1", None, ("docker", "compose")),
        (None, "2.30.0", ("docker-compose",)),
        ("2.3.3", "2.30.0", ("docker-compose",)),
        (None, "1.29.2", ()),
        ("2.22.0", None, ()),
        (None, None, ()),
    ],
)
def test_compose_is_called_in_the_way_that_is_new_enough(engine_running, plugin, dashed, command):
    if plugin:
        engine_running.write("plugin", plugin)
    if dashed:
        engine_running.write("docker-compose", f"#!/bin/sh\necho {dashed}\n")
    assert engine.compose_command() == command


def test_the_state_is_what_docker_says(machine):
    assert engine.state() == "There is no docker command."
    machine.write("docker", DOCKER)
    assert engine.state() == NOT_RUNNING
    machine.write("engine-runs", "")
    assert engine.state() == ""


def test_on_another_system_it_says_what_to_install(machine):
    with pytest.raises(Mendable, match=r"docs\.docker\.com/engine/install"):
        engine.ensure(yes=True)


def test_an_engine_that_is_named_elsewhere_is_not_replaced(ubuntu, monkeypatch):
    ubuntu.write("docker", DOCKER)
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    with pytest.raises(Mendable, match="unset DOCKER_HOST"):
        engine.ensure(yes=True)


def test_without_yes_and_without_a_terminal_nothing_is_installed(ubuntu):
    with pytest.raises(Mendable, match="--yes"):
        engine.ensure()
    assert not any(call.startswith("apt-get") for call in ubuntu.calls())


def test_with_yes_engine_and_compose_are_installed_and_the_engine_is_started(ubuntu, monkeypatch):
    monkeypatch.setattr(engine, "_start_service", lambda: _touch(ubuntu, "engine-runs"))
    monkeypatch.setattr(engine, "_start_directly", lambda: _touch(ubuntu, "engine-runs"))
    monkeypatch.setattr(engine.debian, "as_root", lambda *command: ["true"] if command[0] == "systemctl" else list(command))
    engine.ensure(yes=True)
    installed = [call for call in ubuntu.calls() if " install " in call]
    assert [call.split()[-1] for call in installed] == ["ca-certificates", "docker-compose-v2"]
    assert all("--no-install-recommends" in call and "--no-remove" in call for call in installed)
    assert engine.state() == ""


def test_a_debian_that_has_the_docker_command_apart_gets_it_too(ubuntu):
    ubuntu.write("candidate-docker-cli", "27.5.1")
    engine._install_engine(yes=True)
    assert any(call.endswith("docker.io ca-certificates docker-cli") for call in ubuntu.calls())


def test_a_compose_that_is_too_old_in_the_distribution_comes_from_debian_testing(ubuntu, engine_running, monkeypatch, tmp_path):
    (ubuntu.fakes / "candidate-docker-compose-v2").unlink()
    ubuntu.write("candidate-docker-compose", "1.29.2-3")

    def fetch(plugins):
        engine_running.write("plugin", "2.40.3")
        return plugins / "docker-compose"

    monkeypatch.setattr(debian, "fetch_compose", fetch)
    monkeypatch.setattr(engine, "_link", lambda plugin: None)
    engine.ensure(yes=True)
    assert not any(" install " in call for call in ubuntu.calls())


def test_a_service_script_that_fails_is_followed_by_the_engine_itself(machine, monkeypatch):
    machine.write("docker", DOCKER)
    machine.write("dockerd", '#!/bin/sh\necho started\ntouch "$FAKES/engine-runs"\n')
    monkeypatch.setattr(engine.Path, "exists", lambda path: str(path) == "/etc/init.d/docker")
    machine.write("service", "#!/bin/sh\nexit 1\n")
    engine._start(yes=True)
    assert engine.state() == ""


def test_an_engine_that_does_not_start_shows_its_log(machine, monkeypatch):
    machine.write("docker", DOCKER)
    machine.write("dockerd", "#!/bin/sh\necho no room on device\n")
    monkeypatch.setattr(engine, "_start_service", lambda: False)
    monkeypatch.setattr(engine.debian, "as_root", lambda *command: ["false"] if command[0] == "systemctl" else list(command))
    monkeypatch.setattr(engine, "START_WITHIN", 0.5)
    with pytest.raises(Mendable, match="no room on device"):
        engine._start(yes=True)


def test_a_user_who_may_not_use_the_engine_learns_the_command(machine):
    machine.write("docker", DOCKER)
    machine.write("engine-says", "permission denied while trying to connect to the Docker daemon socket")
    with pytest.raises(Mendable, match=r"sudo usermod -aG docker \w+"):
        engine.ensure()


def test_apt_install_says_why_it_failed(ubuntu):
    with pytest.raises(Mendable, match="Unable to locate package"):
        engine.apt_install(["no-such-package"], why="a test", yes=True)


def test_apt_install_elsewhere_names_the_other_way(machine):
    with pytest.raises(Mendable, match="brew install thing"):
        engine.apt_install(["thing"], why="a test", yes=True, otherwise="brew install thing")


def test_without_root_or_sudo_it_says_so(ubuntu, monkeypatch):
    monkeypatch.setattr(debian.os, "geteuid", lambda: 1000)
    with pytest.raises(Mendable, match="needs root"):
        engine.apt_install(["thing"], why="a test", yes=True)


@pytest.mark.parametrize(
    ("release", "expected"),
    [("ID=debian\n", True), ("ID=linuxmint\nID_LIKE='ubuntu debian'\n", True), ("ID=fedora\n", False), ("", False)],
)
def test_relatives_of_debian_are_known_by_os_release(ubuntu, tmp_path, release, expected):
    (tmp_path / "os-release").write_text(release)
    assert debian.here() is expected


def test_the_mirror_is_the_machines_own_debian_one(ubuntu):
    lines = (
        "Ubuntu|Ubuntu|http://ubuntu.example/\\nDebian|Debian-Security|http://sec.example/\\nDebian|Debian|http://deb.example/debian/\\n"
    )
    ubuntu.write("apt-get", f"#!/bin/sh\nprintf '{lines}'\n")
    assert debian.mirror() == "http://deb.example/debian/"
    ubuntu.write("apt-get", "#!/bin/sh\necho 'Ubuntu|Ubuntu|http://ubuntu.example/'\n")
    assert debian.mirror() is None


def test_without_a_debian_mirror_compose_is_for_the_user_to_install(ubuntu, tmp_path):
    ubuntu.write("apt-get", "#!/bin/sh\nexit 0\n")
    with pytest.raises(Mendable, match=r"docs\.docker\.com/compose/install"):
        debian.fetch_compose(tmp_path / "plugins")


def test_a_question_that_nobody_can_answer_is_an_error_that_names_the_command(monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(Mendable, match=r"Deletes all\.\nAllow it with: ./lab down --yes"):
        consent.ask("Deletes all.", yes=False, command="./lab down --yes")


@pytest.mark.parametrize("agrees", [True, False])
def test_a_question_is_asked_on_a_terminal(monkeypatch, agrees):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(consent.typer, "confirm", lambda question: agrees)
    if agrees:
        consent.ask("Deletes all.", yes=False, command="")
    else:
        with pytest.raises(Mendable, match="Nothing was changed"):
            consent.ask("Deletes all.", yes=False, command="")


def _touch(machine, name):
    machine.write(name, "")
    return True
