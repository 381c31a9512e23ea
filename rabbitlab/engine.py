"""The Docker engine and Docker Compose: find them, install them where apt can, start the engine."""

import getpass
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

from rabbitlab import consent, debian
from rabbitlab.debian import apt_install
from rabbitlab.errors import Mendable
from rabbitlab.units import STATE

__all__ = ["MINIMUM_COMPOSE", "answers", "apt_install", "client", "compose_command", "compose_version", "ensure", "state"]

MINIMUM_COMPOSE = (2, 23)
DOCKERD_LOG = STATE / "dockerd.log"
START_WITHIN = 60  # seconds
_REJOINED = "RABBITLAB_JOINED_DOCKER_GROUP"


def ensure(yes: bool = False) -> None:
    """Return when an engine answers and compose is new enough; install and start what is missing.

    Args:
        yes: Install without asking, on Debian and Ubuntu.

    Raises:
        Mendable: with the command that gets what is missing.
    """
    problem = state()
    if problem and _program("docker") and "permission denied" in problem.lower():
        _join_group(yes)
    if problem:
        _refuse_what_is_not_ours(problem)
        if not (_program("docker") and _program("dockerd")):
            _install_engine(yes)
        _start(yes)
    if not compose_command():
        _install_compose(yes)


def state() -> str:
    """An empty string when the engine answers, else what Docker says."""
    if not _program("docker"):
        return "There is no docker command."
    try:
        done = subprocess.run(["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True, timeout=20)
    except subprocess.TimeoutExpired:
        return "The Docker engine did not answer within 20 s."
    return "" if done.returncode == 0 and done.stdout.strip() else done.stderr.strip() or done.stdout.strip()


def answers() -> bool:
    """Whether the engine answers."""
    return not state()


@cache
def compose_command() -> tuple[str, ...]:
    """How compose is called here, ``("docker", "compose")`` or ``("docker-compose",)``; empty when none is new enough."""
    return next((command for command in _COMPOSE if (compose_version(command) or (0,)) >= MINIMUM_COMPOSE), ())


def compose_version(command: tuple[str, ...]) -> tuple[int, ...] | None:
    """The version of a compose command, ``(2, 40)``, or None where there is none."""
    if not _program(command[0]):
        return None
    done = subprocess.run([*command, "version", "--short"], capture_output=True, text=True)
    found = re.match(r"v?(\d+)\.(\d+)", done.stdout.strip())
    return (int(found.group(1)), int(found.group(2))) if done.returncode == 0 and found else None


def client(timeout: float = 60):
    """The engine's API, at the address that the docker command itself uses.

    Args:
        timeout: Seconds to wait for an answer, or for the next piece of one.

    Returns:
        A ``docker.DockerClient``.
    """
    import docker

    context = subprocess.run(["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"], capture_output=True, text=True)
    return docker.DockerClient(base_url=context.stdout.strip() or None, timeout=timeout)


_COMPOSE = (("docker", "compose"), ("docker-compose",))
_COMPOSE_PACKAGES = ("docker-compose-v2", "docker-compose-plugin", "docker-compose")  # Ubuntu's, Docker's, Debian's


def _program(name: str) -> str | None:
    return shutil.which(name, path=debian.with_sbin()["PATH"])


def _refuse_what_is_not_ours(problem: str) -> None:
    """An engine elsewhere, or one that apt does not bring, is for its owner to start."""
    if os.environ.get("DOCKER_HOST"):
        raise Mendable(f"DOCKER_HOST is {os.environ['DOCKER_HOST']}, and no engine answers there. Start it, or: unset DOCKER_HOST")
    if sys.platform == "darwin":
        raise Mendable("Docker does not answer. Start Docker Desktop (open -a Docker; https://docs.docker.com/desktop if you have none).")
    if not debian.here() and not _program("dockerd"):
        raise Mendable(
            "The course needs the Docker engine with Compose 2.23 or newer, and here only Debian's and Ubuntu's can be installed for you. "
            f"Install it as https://docs.docker.com/engine/install says for your system, then run the command again. ({problem})"
        )


def _install_engine(yes: bool) -> None:
    """The distribution's engine; a newer Debian has the docker command in a package of its own."""
    packages = ["docker.io", "ca-certificates"]
    if not _program("docker") and debian.candidate("docker-cli"):
        packages.append("docker-cli")
    apt_install(packages, why="the three RabbitMQ nodes run in containers", yes=yes)
    if not _program("docker"):  # the lists were older than the question
        apt_install(["docker-cli"], why="the docker command", yes=yes)
    if not _may_use_engine():
        _join_group(yes)


def _start(yes: bool) -> None:
    """Start the engine the way this machine starts services, or directly.

    Raises:
        Mendable: when it does not answer in the end, with what it logged.
    """
    if state() == "":
        return
    debian.allow_sudo("sudo systemctl start docker (or: sudo service docker start)")
    if Path("/run/systemd/system").exists():
        started = debian.logged("Starting the Docker engine", debian.as_root("systemctl", "start", "docker")) == 0
    else:
        started = Path("/etc/init.d/docker").exists() and _start_service()
    if not (started and _answers_within(START_WITHIN, yes)):
        _start_directly()
    if not _answers_within(START_WITHIN, yes):
        raise Mendable(
            f"The Docker engine does not start: {state()}\n{debian.tail(DOCKERD_LOG)}\nMend what it says (all of it: {DOCKERD_LOG})."
        )


def _start_service() -> bool:
    return debian.logged("Starting the Docker engine", debian.as_root("service", "docker", "start")) == 0


def _start_directly() -> None:
    """dockerd by itself: a service script may fail on a limit that it may not raise, in a container for instance."""
    STATE.mkdir(exist_ok=True)
    with DOCKERD_LOG.open("w") as log:
        subprocess.Popen(
            debian.as_root(_program("dockerd") or "dockerd"),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # it outlives this command
            env=debian.with_sbin(),
        )


def _answers_within(seconds: float, yes: bool) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        problem = state()
        if not problem:
            return True
        if "permission denied" in problem.lower():
            _join_group(yes)
        time.sleep(0.3)
    return False


def _may_use_engine() -> bool:
    """Root may; others through the group docker, as this login has it."""
    import grp

    if os.geteuid() == 0:
        return True
    try:
        return grp.getgrnam("docker").gr_gid in os.getgroups()
    except KeyError:
        return True  # no such group: a rootless engine, or one with rules of its own


def _join_group(yes: bool) -> None:
    """Let this user use the engine, and go on in a shell that has the new group; does not return.

    Raises:
        Mendable: when that is not wanted, with the command.
    """
    user = getpass.getuser()
    command = f"sudo usermod -aG docker {user}"
    ours = Path(sys.argv[0]).parts[-2:] == ("rabbitlab", "__main__.py")  # else there is no command line to run again
    if os.environ.get(_REJOINED) or not ours or not shutil.which("sg"):
        raise Mendable(f"User {user} may not use the Docker engine. Run: {command}, then log out and in again.")
    consent.ask(
        f"User {user} is not in the group docker, which may use the engine (and is as powerful as root): {command}",
        yes=yes,
        command=f"./lab start --yes, or run it yourself, then log out and in again: {command}",
    )
    if subprocess.run(debian.as_root("usermod", "-aG", "docker", user)).returncode != 0:
        raise Mendable(f"That failed. Run: {command}, then log out and in again.")
    print("Other terminals see the new group after the next login; this command goes on with it now.", flush=True)
    again = shlex.join([sys.executable, "-P", "-m", "rabbitlab", *sys.argv[1:]])
    os.execvpe("sg", ["sg", "docker", "-c", again], {**os.environ, _REJOINED: "1"})


def _install_compose(yes: bool) -> None:
    """The newest that apt offers, if it is new enough; else, on a Debian, the one of Debian testing.

    Raises:
        Mendable: when neither can be had.
    """
    if not debian.here():
        raise Mendable("Docker Compose 2.23 or newer is missing. " + debian.INSTALL_COMPOSE)
    package = next((name for name in _COMPOSE_PACKAGES if _is_new_enough(debian.candidate(name))), None)
    if package:
        apt_install([package], why="it starts the cluster from docker-compose.yml", yes=yes)
    else:
        plugins = _plugins()
        consent.ask(
            f"This distribution's Docker Compose is too old. The one of Debian testing will be put into {plugins}.",
            yes=yes,
            command="./lab start --yes",
        )
        _link(debian.fetch_compose(plugins))
    compose_command.cache_clear()
    if not compose_command():
        raise Mendable("Docker Compose was installed, but docker compose version does not work. Run ./lab doctor.")


def _is_new_enough(version: str | None) -> bool:
    """Judges an apt version, as ``2.40.3-3`` or ``5:29.0.1-1~ubuntu``."""
    found = re.match(r"(?:\d+:)?(\d+)\.(\d+)", version or "")
    return bool(found) and (int(found.group(1)), int(found.group(2))) >= MINIMUM_COMPOSE


def _plugins() -> Path:
    """Where Docker looks for plugins: for everybody, when we are root, else for this user."""
    if os.geteuid() == 0:
        return Path("/usr/local/lib/docker/cli-plugins")
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "cli-plugins"


def _link(plugin: Path) -> None:
    """``docker-compose`` with the dash, where there is none and we may make one."""
    dashed = Path("/usr/local/bin/docker-compose")
    if not shutil.which("docker-compose") and os.access(dashed.parent, os.W_OK):
        dashed.unlink(missing_ok=True)  # a link to something that is gone
        dashed.symlink_to(plugin)
