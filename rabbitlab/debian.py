"""What apt brings on Debian, Ubuntu and their relatives: packages, and a compose plugin newer than the distribution's."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from rabbitlab import consent
from rabbitlab.errors import Mendable
from rabbitlab.units import STATE

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
OS_RELEASE = Path("/etc/os-release")
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"  # where dockerd and iptables are, and a user's PATH often is not
LOG = STATE / "install.log"
INSTALL_COMPOSE = "Install the compose plugin as https://docs.docker.com/compose/install says, then run the command again."


def kinds() -> set[str]:
    """The distribution's name and those of its ancestors: ``{"ubuntu", "debian"}``; empty where there is no apt."""
    if not shutil.which("apt-get") or not OS_RELEASE.exists():
        return set()
    fields = dict(line.split("=", 1) for line in OS_RELEASE.read_text().splitlines() if "=" in line)
    return {name for key in ("ID", "ID_LIKE") for name in fields.get(key, "").strip("'\"").split()}


def here() -> bool:
    """Whether this machine is a Debian, an Ubuntu or a relative of theirs."""
    return bool(kinds() & {"debian", "ubuntu"})


def as_root(*command: str) -> list[str]:
    """The command line that runs *command* as root.

    Raises:
        Mendable: when we are not root and there is no sudo.
    """
    if os.geteuid() == 0:
        return list(command)
    if not shutil.which("sudo"):
        raise Mendable(f"This needs root, and there is no sudo here. As root, run: {' '.join(command)}")
    # Without a terminal sudo could only wait for a password that nobody types.
    return ["sudo", *([] if sys.stdin.isatty() else ["-n"]), *command]


def apt_install(packages: list[str], *, why: str, yes: bool = False, otherwise: str = "") -> None:
    """Install packages with apt, asking first.

    Args:
        packages: Names of packages.
        why: What needs them, as the end of a sentence: ``the browser tests drive it``.
        yes: Install without asking.
        otherwise: What gets the same thing on other systems, a command or a sentence's end.

    Raises:
        Mendable: not a Debian or Ubuntu, not allowed, no root, or apt failed.
    """
    names = " ".join(packages)
    if not here():
        raise Mendable(f"Missing: {names} ({why}). Install it with: {otherwise or 'your package manager'}")
    by_hand = "sudo apt-get install " + names
    consent.ask(f"apt-get will install {names}: {why}.", yes=yes, command=f"the same command with --yes, or {by_hand}")
    allow_sudo(by_hand)
    # Part of an update may fail, for a repository that is no concern of ours; the install tells whether it mattered.
    logged("apt-get update", as_root("apt-get", "-q", "update"))
    install = ["apt-get", "-q", "install", "-y", "--no-install-recommends", "--no-remove", *packages]
    if logged(f"apt-get install {names}", as_root("env", "DEBIAN_FRONTEND=noninteractive", *install)) != 0:
        raise Mendable(f"apt-get could not install {names}:\n{tail(LOG)}\nMend what it says (all of it: {LOG}), or run: {by_hand}")


def allow_sudo(command: str) -> None:
    """Let sudo ask for its password now, while the terminal is free.

    Raises:
        Mendable: when there is none, or it refuses; names *command*, which someone with the right may run.
    """
    if os.geteuid() != 0 and subprocess.run(as_root("-v")).returncode != 0:
        raise Mendable(f"This needs root, and sudo refuses. Ask whoever may to run: {command}")


def logged(what: str, command: list[str], log: Path | None = None) -> int:
    """Run a command with its output in *log* (:data:`LOG` unless named) and a spinner meanwhile.

    Returns:
        Its exit status.
    """
    log = log or LOG
    log.parent.mkdir(exist_ok=True)
    with Console().status(what), log.open("w") as output:
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=with_sbin()).returncode


def with_sbin() -> dict[str, str]:
    """The environment, with the directories of the administrator's programs on PATH."""
    return {**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:{SBIN}"}


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log, or nothing."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""


def candidate(package: str) -> str | None:
    """The version that apt would install, or None when apt does not know the package."""
    policy = subprocess.run(["apt-cache", "policy", package], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    found = re.search(r"Candidate: (\S+)", policy.stdout)
    return found.group(1) if found and found.group(1) != "(none)" else None


def mirror() -> str | None:
    """The Debian mirror that this machine takes its packages from, or None on a machine that has none (Ubuntu)."""
    fields = "$(ORIGIN)|$(LABEL)|$(REPO_URI)"
    lines = subprocess.run(["apt-get", "indextargets", "--format", fields], capture_output=True, text=True).stdout.splitlines()
    found = (line.split("|") for line in lines)
    return next((uri for origin, label, uri in found if origin == label == "Debian" and uri.startswith("http")), None)


def fetch_compose(plugins: Path) -> Path:
    """Put the compose plugin of Debian testing among Docker's plugins, for a Debian whose own is too old. Needs no root.

    The package is fetched by apt, with its signatures checked, from the machine's own mirror; nothing that apt keeps of its own is touched.

    Args:
        plugins: The directory where Docker looks for plugins, made if missing.

    Returns:
        The plugin.

    Raises:
        Mendable: when there is no Debian mirror, or apt fails.
    """
    uri = mirror()
    if not uri or not KEYRING.exists():
        raise Mendable("This machine has no Docker Compose 2.23 or newer, and no Debian mirror to take one from. " + INSTALL_COMPOSE)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)  # apt downloads as a user of its own
        package = _download("docker-compose", f"deb [signed-by={KEYRING}] {uri} testing main\n", folder)
        if not package or subprocess.run(["dpkg-deb", "-x", package, folder / "root"]).returncode != 0:
            raise Mendable(f"The compose plugin could not be fetched:\n{tail(LOG)}\n" + INSTALL_COMPOSE)
        plugins.mkdir(parents=True, exist_ok=True)
        fresh = plugins / ".docker-compose.new"
        shutil.copy(next((folder / "root").glob("usr/lib*/docker/cli-plugins/docker-compose")), fresh)
        fresh.chmod(0o755)
        return fresh.replace(plugins / "docker-compose")


def _download(package: str, source: str, folder: Path) -> Path | None:
    """One package by the given line of sources.list, with lists and cache in *folder*; None when it failed."""
    (folder / "sources.list").write_text(source)
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    options = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "Acquire::Languages": "none",
        "Acquire::Check-Valid-Until": "false",  # a testing suite may be between two releases
    }
    apt = ["apt-get", "-q", *(f"-o{key}={value}" for key, value in options.items())]
    if logged("apt-get update (Debian testing)", [*apt, "update"]) != 0:
        return None
    if logged(f"apt-get download {package}", ["env", "-C", str(folder), *apt, "download", package]) != 0:
        return None
    return next(folder.glob("*.deb"), None)
