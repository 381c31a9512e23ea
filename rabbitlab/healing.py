"""Put the cluster right from any state: look, mend what is seen, look again, until it is whole."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from rabbitlab import cluster, containers, wholeness
from rabbitlab.errors import Mendable
from rabbitlab.nodes import NODES
from rabbitlab.units import ROOT

WITHIN = 120  # seconds for all of it


def heal(tell: Callable[[str], None] = lambda sentence: None, within: float = WITHIN) -> list[str]:
    """Mend what is broken and return when the cluster is whole; nothing to mend costs two looks.

    Args:
        tell: Is given what was mended, and what is waited for.
        within: Seconds for all of it.

    Returns:
        What was mended, one sentence each.

    Raises:
        Mendable: it is not whole in time; says what is missing.
    """
    mended: list[str] = []
    deadline = time.monotonic() + within
    while True:
        for mender in MENDERS:
            for sentence in mender():
                tell(sentence)
                mended.append(sentence)
        missing = _come_to_rest(tell, deadline)
        if not missing:
            return mended
        if time.monotonic() > deadline:
            raise Mendable(f"The cluster is not whole after {within:.0f} s: {missing}. To begin again: ./lab down, then ./lab up")


def settle() -> None:
    """Return when the cluster is whole; what does not come by itself in :data:`PATIENT` seconds is mended.

    Raises:
        Mendable: as :func:`heal`.
    """
    if _come_to_rest(lambda sentence: None, time.monotonic() + PATIENT):
        heal()


def wait(missing: Callable[[], str], within: float, what: str) -> None:
    """Return once *missing* says nothing more.

    Raises:
        Mendable: with what was missing last.
    """
    deadline = time.monotonic() + within
    pause = 0.05
    while seen := missing():
        if time.monotonic() > deadline:
            raise Mendable(f"Waited {within:.0f} s for: {what}. Seen last: {seen}. To put the cluster right: ./lab heal")
        time.sleep(pause)
        pause = min(pause * 1.3, 0.25)


PATIENT = 10.0  # seconds in which a cluster may become whole by itself before it is looked at again


def _come_to_rest(tell: Callable[[str], None], deadline: float) -> str:
    """What is missing when nothing more comes by itself; an empty string once the cluster is whole."""
    until = min(deadline, time.monotonic() + PATIENT)
    told, pause = "", 0.05
    while missing := wholeness.missing():
        if missing != told:
            tell(f"waiting: {missing}")
            told = missing
        if time.monotonic() > until:
            return missing
        time.sleep(pause)
        pause = min(pause * 1.3, 0.25)
    return ""


def missing_containers() -> list[str]:
    """Make again what has no container."""
    absent = [service for service in cluster.SERVICES if service not in containers.all_of_them()]
    if absent:
        cluster.compose("up", "--detach", "--no-recreate", *cluster.SERVICES, capture=True, check=True)
    return [f"{service} had no container: made again" for service in absent]


def containers_at_rest() -> list[str]:
    """Unpause what is paused, start what has ended."""
    done = []

    def wake(service: str) -> None:
        container = there[service]
        with containers.speaking_plainly():
            if container.status == "paused":
                container.unpause()
                done.append(f"{service} was paused: goes on")
            elif container.status in ("exited", "created", "dead"):
                container.start()
                done.append(f"{service} had ended: started")

    there = containers.all_of_them()
    containers.each(wake, [service for service in cluster.SERVICES if service in there and there[service].status != "running"])
    return sorted(done)


def load_balancer() -> list[str]:
    """Start the load balancer again where it does not tell what it does, as with an older configuration."""
    if containers.state("haproxy") == "running" and not wholeness.traffic():
        with containers.speaking_plainly():
            containers.of("haproxy").restart()
        return ["haproxy did not tell which nodes get traffic: started again"]
    return []


def limits() -> list[str]:
    """Set the limits of memory and disk as rabbitmq.conf has them, where a node has others."""
    done = []
    for node in NODES:
        told = (wholeness.view(node) or {}).get(node.name, {})
        for limit in LIMITS:
            if told.get(limit.column, limit.bytes) != limit.bytes:
                limit.restore(node.name)
                done.append(f"{node.name} had another {limit.name}: restored")
    return done


@dataclass
class Limit:
    """A limit that blocks publishers when it is crossed.

    Attributes:
        name: In words.
        column: What the management API calls it.
        key: What rabbitmq.conf calls it.
        command: What sets it, without the value.
    """

    name: str
    column: str
    key: str
    command: tuple[str, ...]

    @cached_property
    def configured(self) -> str:
        """As rabbitmq.conf has it: ``"384MiB"``."""
        return re.search(rf"^{re.escape(self.key)} *= *(\S+)", CONFIGURATION.read_text(), re.MULTILINE)[1]

    @cached_property
    def bytes(self) -> int:
        """The same as a number."""
        number, unit = re.fullmatch(r"(\d+)(\w*)", self.configured).groups()
        return int(number) * UNITS[unit]

    def set(self, node: str, value: str) -> None:
        """Let it be *value* on *node* from now on, until that node starts again."""
        containers.run(node, "rabbitmqctl", "--quiet", *self.command, value)

    def restore(self, node: str) -> None:
        """As rabbitmq.conf has it."""
        self.set(node, self.configured)


CONFIGURATION = ROOT / "docker" / "rabbitmq" / "rabbitmq.conf"
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
MEMORY = Limit("memory limit", "mem_limit", "vm_memory_high_watermark.absolute", ("set_vm_memory_high_watermark", "absolute"))
DISK = Limit("disk limit", "disk_free_limit", "disk_free_limit.absolute", ("set_disk_free_limit",))
LIMITS = (MEMORY, DISK)
MENDERS: tuple[Callable[[], list[str]], ...] = (missing_containers, containers_at_rest, load_balancer, limits)
