"""The two checklists of the course, and what else a program can see of a cluster that runs."""

from collections.abc import Iterable
from dataclasses import dataclass

from rabbitlab.audit import availability, deployment, error_handling, monitoring, nodes_now, queues_now, reliability, security
from rabbitlab.audit.verdict import Item, Result

SECTIONS = (
    reliability.SECTION,
    error_handling.SECTION,
    availability.SECTION,
    monitoring.SECTION,
    security.SECTION,
    deployment.SECTION,
    queues_now.SECTION,
    nodes_now.SECTION,
)
ITEMS: tuple[Item, ...] = tuple(item for section in SECTIONS for item in section.items)


@dataclass(frozen=True)
class Part:
    """A section of a report."""

    checklist: str
    name: str
    results: tuple[Result, ...]

    @property
    def title(self) -> str:
        return self.name if self.name == self.checklist else f"{self.checklist}: {self.name.lower()}"


def sections(results: Iterable[Result]) -> list[Part]:
    """The results by section. What the deployment checklist asks again stands in both lists."""
    parts: dict[tuple[str, str], list[Result]] = {(section.checklist, section.name): [] for section in SECTIONS}
    for result in results:
        parts[result.item.checklist, result.item.section].append(result)
        if result.item.deployment and result.item.checklist != "Deployment" and ("Deployment", "Deployment") in parts:
            parts["Deployment", "Deployment"].append(result)
    return [Part(checklist, name, tuple(found)) for (checklist, name), found in parts.items() if found]
