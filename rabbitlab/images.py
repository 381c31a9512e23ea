"""The images that docker-compose.yml names: present, pulled, or built from Debian packages where no registry can be reached.

An image of our own has a name of its own, which ``.env`` gives to compose in place of the official one. To go back to the official
images, delete these lines from ``.env``. Grafana is in no Debian package: where its image cannot be pulled, ``.env`` takes it out of
its profile, and the rest of monitoring starts without it.
"""

import hashlib
import os
import re
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from rabbitlab import debian, engine
from rabbitlab.errors import Mendable
from rabbitlab.nodes import PROFILES
from rabbitlab.units import ROOT, STATE

STALLED = 45  # seconds without any progress after which a pull is given up
RECIPE = ROOT / "docker" / "debian"
RECIPE_LABEL = "rabbitmq-by-doing.recipe"
VERSION_LABEL = "rabbitmq-by-doing.version"
ENV = ROOT / ".env"
LOG = STATE / "images.log"
# The variable in docker-compose.yml, and the image that the recipe makes for it.
HOME_MADE = {
    "RABBITMQ_IMAGE": "rabbitmq-by-doing/rabbitmq:debian",
    "HAPROXY_IMAGE": "rabbitmq-by-doing/haproxy:debian",
    "PROMETHEUS_IMAGE": "rabbitmq-by-doing/prometheus:debian",
    "ALERTMANAGER_IMAGE": "rabbitmq-by-doing/alertmanager:debian",
}
# Images that the recipe cannot make: the variable, and what .env says where the image cannot be had.
LEFT_OUT = {"GRAFANA_IMAGE": {"GRAFANA_PROFILE": "unavailable"}}
GRAFANA_LEFT_OUT = (
    "Grafana is left out, since its image could not be pulled; the queries of its dashboard work in Prometheus. "
    "To try again, delete GRAFANA_PROFILE from .env."
)
console = Console(highlight=False, markup=False)


class Unpullable(Exception):
    """An image cannot be had from a registry; says why."""


def ensure(yes: bool = False, profiles: Iterable[str] = ()) -> None:
    """Return when every image is here: pull what is missing, or build it from Debian packages and say so.

    Args:
        yes: Install what the build needs without asking.
        profiles: Also the images of these compose profiles.

    Raises:
        Mendable: when an image can neither be pulled nor built.
    """
    missing = [image for image in wanted(profiles) if not present(image)]
    if any(image in HOME_MADE.values() for image in missing):
        build(yes)  # .env says that this machine was out of a registry's reach
        missing = [image for image in missing if image not in HOME_MADE.values()]
    try:
        for image in missing:
            pull(image)
    except Unpullable as reason:
        _fall_back([image for image in missing if not present(image)], str(reason), yes)
    if "monitoring" in profiles and official()["GRAFANA_IMAGE"] not in wanted(profiles) and _left_out("GRAFANA_IMAGE"):
        console.print(GRAFANA_LEFT_OUT, soft_wrap=True)


def wanted(profiles: Iterable[str] = ()) -> list[str]:
    """The images of the cluster's services and of *profiles*, as compose reads them from its file, ``.env`` and the environment."""
    from rabbitlab import cluster

    return sorted(set(cluster.compose(*cluster.chosen(profiles), "config", "--images", capture=True).stdout.split()))


def official() -> dict[str, str]:
    """The variables of docker-compose.yml and the official images that they stand for: ``{"RABBITMQ_IMAGE": "rabbitmq:4.3..."}``."""
    return dict(re.findall(r"image: \$\{(\w+):-([^}]+)\}", (ROOT / "docker-compose.yml").read_text()))


def source() -> str:
    """Where the nodes' image comes from: ``official``, ``home-made from Debian packages``, or ``chosen by you``."""
    named = wanted()
    if HOME_MADE["RABBITMQ_IMAGE"] in named:
        return "home-made from Debian packages"
    return "official" if official()["RABBITMQ_IMAGE"] in named else "chosen by you"


def present(image: str) -> bool:
    """Whether the engine has *image*."""
    return _label(image, "org.opencontainers.image.title") is not None


def course_version() -> str:
    """The version of RabbitMQ that docker-compose.yml names: ``4.3.6``."""
    return re.search(r":([0-9.]+)", official()["RABBITMQ_IMAGE"]).group(1)


def home_made_version() -> str:
    """The version of RabbitMQ in the home-made image, or nothing."""
    return (_label(HOME_MADE["RABBITMQ_IMAGE"], VERSION_LABEL) or "").partition("-")[0]


def recipe() -> str:
    """What the home-made images are made from, as a checksum; build.sh writes the same into their labels."""
    files = sorted(path for path in RECIPE.iterdir() if path.is_file())
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def up_to_date(image: str) -> bool:
    """Whether a home-made image was made from the recipe as it is now."""
    return _label(image, RECIPE_LABEL) == recipe()


def pull(image: str) -> None:
    """Pull an image, as slowly as it may be, and show how far it is.

    Raises:
        Unpullable: a registry refuses or cannot be reached, or for :data:`STALLED` seconds nothing has moved.
    """
    import docker
    import requests

    name, _, tag = image.rpartition(":")
    api = engine.client(timeout=STALLED).api
    try:
        with console.status(f"Pulling {image}") as status:
            _follow(api.pull(name, tag=tag, stream=True, decode=True), lambda seen: status.update(f"Pulling {image}: {seen}"))
    except (docker.errors.APIError, requests.RequestException) as error:
        reason = getattr(error, "explanation", None) or (f"nothing came for {STALLED} s" if "timed out" in str(error).lower() else error)
        raise Unpullable(f"{image}: {reason}") from None
    except Unpullable as error:
        raise Unpullable(f"{image}: {error}") from None
    console.print(f"Pulled {image}.", soft_wrap=True)


def _follow(events: Iterable[dict], show, clock=time.monotonic) -> None:
    """Read the engine's account of a pull until it ends; retries and waiting are no progress."""
    layers: dict[str, tuple[str, int]] = {}
    moved = clock()
    for event in events:
        if "error" in event:
            raise Unpullable(event["error"])
        state = (event.get("status", ""), (event.get("progressDetail") or {}).get("current", 0))
        if not state[0].startswith(("Retrying", "Waiting")) and layers.get(event.get("id", "")) != state:
            layers[event.get("id", "")] = state
            moved = clock()
        if clock() - moved > STALLED:
            raise Unpullable(f"nothing moved for {STALLED} s")
        loading = sum(current for status, current in layers.values() if status == "Downloading")
        done = sum(status.endswith(("complete", "exists")) for status, _ in layers.values())
        show(f"{done} of {len(layers)} layers" + (f", {loading / 1e6:.0f} MB of the next" if loading else ""))


def _fall_back(missing: list[str], reason: str, yes: bool) -> None:
    """Home-made images in place of official ones, all at once; an image that somebody chose is theirs to bring."""
    variables = {image: variable for variable, image in official().items()}
    chosen = [image for image in missing if image not in variables]
    if chosen:
        raise Mendable(
            f"{', '.join(chosen)} cannot be pulled ({reason}). It is named in .env or the environment: unset it there, or build it."
        )
    # What the profiles will want later has one recipe with what is missing now, and would be out of reach, too.
    lacking = [variables[image] for image in wanted(PROFILES) if image in variables and not present(image)]
    made = {variable: HOME_MADE[variable] for variable in HOME_MADE if variable in lacking}
    if made:
        console.print(
            f"No image from a registry ({reason}).\nUsing images built from Debian packages instead; .env will name them.", soft_wrap=True
        )
        if not all(up_to_date(image) for image in made.values()):
            build(yes)
    write_env(made | {name: value for variable in lacking for name, value in LEFT_OUT.get(variable, {}).items()})


def _left_out(variable: str) -> bool:
    """Whether ``.env`` says that the service of an image cannot be had here."""
    lines = ENV.read_text().splitlines() if ENV.exists() else []
    return all(f"{name}={value}" in lines for name, value in LEFT_OUT[variable].items())


def build(yes: bool = False) -> None:
    """Build the home-made images with docker/debian/build.sh (about a minute).

    Args:
        yes: Install mmdebstrap without asking.

    Raises:
        Mendable: when this is no Debian or Ubuntu, or the build failed.
    """
    if not debian.here():
        raise Mendable(
            "The images cannot be pulled, and building them needs Debian or Ubuntu. Check the network (docker pull hello-world); "
            "a rate limit ends with: docker login. Images from elsewhere can be named in .env: RABBITMQ_IMAGE, HAPROXY_IMAGE."
        )
    lacking = [name for name in ("mmdebstrap", "debian-archive-keyring") if not _installed(name)]
    if lacking:
        debian.apt_install(lacking, why="the images are built from Debian packages", yes=yes)
    command = [str(RECIPE / "build.sh"), *HOME_MADE.values()]
    debian.allow_sudo("sudo " + " ".join(command))
    console.print("Building the images from Debian packages; this takes a minute or two, once.")
    if debian.logged("Building the images", debian.as_root(*command), LOG) != 0:
        raise Mendable(
            f"The images could not be built:\n{debian.tail(LOG)}\nMend what it says (all of it: {LOG}), then run the command again."
        )


def write_env(values: dict[str, str]) -> None:
    """Set variables in ``.env``; every other line stays as it is."""
    lines = ENV.read_text().splitlines() if ENV.exists() else []
    kept = [line for line in lines if line.split("=")[0].strip() not in values]
    fresh = ENV.with_name(".env.new")
    fresh.write_text("\n".join(kept + [f"{variable}={image}" for variable, image in values.items()]) + "\n")
    os.replace(fresh, ENV)


def _label(image: str, label: str) -> str | None:
    """A label of an image, "" when it has none; None when there is no such image."""
    command = ["docker", "image", "inspect", "--format", f'{{{{with .Config}}}}{{{{index .Labels "{label}"}}}}{{{{end}}}}', image]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def _installed(package: str) -> bool:
    paths = {"mmdebstrap": Path("/usr/bin/mmdebstrap"), "debian-archive-keyring": debian.KEYRING}
    return paths[package].exists()
