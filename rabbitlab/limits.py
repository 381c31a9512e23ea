"""The limits of memory and disk that raise an alarm when they are crossed: as docker/rabbitmq/rabbitmq.conf has them, and otherwise."""

import re
from dataclasses import dataclass

from rabbitlab import containers
from rabbitlab.units import ROOT

CONFIGURATION = ROOT / "docker" / "rabbitmq" / "rabbitmq.conf"
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


@dataclass(frozen=True)
class Limit:
    """A limit of a node. Publishers are blocked while it is crossed.

    Attributes:
        name: In words.
        column: What the management API calls it.
        key: What rabbitmq.conf calls it.
        command: The arguments of rabbitmqctl that set it, without the value.
    """

    name: str
    column: str
    key: str
    command: tuple[str, ...]

    @property
    def configured(self) -> str:
        """As rabbitmq.conf has it: ``"384MiB"``."""
        return re.search(rf"^{re.escape(self.key)} *= *(\S+)", CONFIGURATION.read_text(), re.MULTILINE)[1]

    @property
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


MEMORY = Limit("memory limit", "mem_limit", "vm_memory_high_watermark.absolute", ("set_vm_memory_high_watermark", "absolute"))
DISK = Limit("disk limit", "disk_free_limit", "disk_free_limit.absolute", ("set_disk_free_limit",))
LIMITS = (MEMORY, DISK)
