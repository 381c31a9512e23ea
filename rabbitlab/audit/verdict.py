"""An item of the checklists, what a check has found, and the verdict."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from rabbitlab.audit.seen import Seen, Unseen

DOCS = "docs/module_4_production/"


class Verdict(StrEnum):
    """How an item stands; a report counts each."""

    FAIL = "fail"
    UNSEEN = "cannot be seen"
    PASS = "pass"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class Finding:
    """What a check has found.

    Attributes:
        verdict: How the item stands.
        saw: What was seen, in a sentence or two.
        objects: The queues, users, nodes ... that it is about, all of them.
        mend: The command or edit that mends this very thing; where it is None, the item's own stands.
    """

    verdict: Verdict
    saw: str
    objects: tuple[str, ...] = ()
    mend: str | None = None


def passed(saw: str, objects: Iterable[str] = ()) -> Finding:
    """The item holds, and what was seen shows it."""
    return Finding(Verdict.PASS, saw, tuple(objects))


def failed(saw: str, objects: Iterable[str] = (), mend: str | None = None) -> Finding:
    """The item does not hold."""
    return Finding(Verdict.FAIL, saw, tuple(objects), mend)


def unseen(saw: str, objects: Iterable[str] = ()) -> Finding:
    """What was seen does not decide it: somebody else must look."""
    return Finding(Verdict.UNSEEN, saw, tuple(objects))


def not_applicable(saw: str) -> Finding:
    """The item has no sense here."""
    return Finding(Verdict.NOT_APPLICABLE, saw)


@dataclass(frozen=True)
class Item:
    """A line of a checklist.

    Attributes:
        id: Its name for programs: ``durable-queues``.
        title: As the checklist of module 4 has it.
        checklist: ``Production readiness``, ``Deployment`` or ``As it runs now``.
        section: ``Reliability``, ``Security`` ...
        why: Why it matters.
        mend: The command or edit that mends it.
        look: Who must look where this program cannot, and how.
        lessons: Where it is taught: paths from the repository's root, with the anchor.
        check: Gives the finding.
        deployment: The line of the deployment checklist that asks for the same, if there is one.
    """

    id: str
    title: str
    checklist: str
    section: str
    why: str
    mend: str
    look: str
    lessons: tuple[str, ...]
    check: Callable[[Seen], Finding] = field(repr=False)
    deployment: str | None = None


@dataclass
class Section:
    """The items of a part of a checklist, in its order."""

    checklist: str
    name: str
    items: list[Item] = field(default_factory=list)

    def item(
        self, id: str, title: str, *, why: str, mend: str, look: str, lessons: tuple[str, ...], deployment: str | None = None
    ) -> Callable[[Callable[[Seen], Finding]], Callable[[Seen], Finding]]:
        """Make the decorated function the check of an item; *lessons* are paths from the folder of module 4."""

        def add(check: Callable[[Seen], Finding]) -> Callable[[Seen], Finding]:
            places = tuple(DOCS + lesson for lesson in lessons)
            self.items.append(Item(id, title, self.checklist, self.name, why, mend, look, places, check, deployment))
            return check

        return add


@dataclass(frozen=True)
class Result:
    """An item and how it stands."""

    item: Item
    finding: Finding

    @property
    def verdict(self) -> Verdict:
        return self.finding.verdict


@dataclass(frozen=True)
class Report:
    """All of it.

    Attributes:
        results: One for each item, in the order of the checklists.
        cluster: Its name, version and nodes.
        read: From where, as whom, when; and ``unread``: what was kept from us, and why.
    """

    results: tuple[Result, ...]
    cluster: dict[str, Any]
    read: dict[str, Any]

    def count(self, verdict: Verdict) -> int:
        return sum(result.verdict is verdict for result in self.results)

    @property
    def exit_status(self) -> int:
        """0 where nothing failed, else 1. What cannot be seen does not fail."""
        return 1 if self.count(Verdict.FAIL) else 0


def judge(items: Iterable[Item], seen: Seen) -> tuple[Result, ...]:
    """Run each check. One that could not read all it asked for never passes."""
    return tuple(Result(item, _judge(item, seen.view())) for item in items)


def _judge(item: Item, seen: Seen) -> Finding:
    try:
        finding = item.check(seen)
    except Unseen as reason:
        return unseen(str(reason))
    except (LookupError, TypeError, ValueError, AttributeError) as error:  # another RabbitMQ answers otherwise than ours
        return unseen(f"An answer is not as this check knows it ({type(error).__name__}: {error}).")
    if seen.gaps and finding.verdict in (Verdict.PASS, Verdict.NOT_APPLICABLE):
        return unseen(f"{finding.saw} But not all could be read: {'; '.join(seen.gaps)}.", finding.objects)
    return finding
