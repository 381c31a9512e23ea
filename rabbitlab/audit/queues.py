"""What the checks ask of queues."""

import re
from collections.abc import Iterable
from typing import Any

from rabbitlab.audit.reading import shown
from rabbitlab.audit.seen import Seen, Unseen

Queue = dict[str, Any]
DEAD = re.compile(r"(^|[._-])(dead|dlq|dlx|dead[._-]?letters?)([._-]|$)", re.I)  # how a queue of dead letters is called
REPLICATED = ("quorum", "stream")


def shared(seen: Seen) -> list[Queue]:
    """The queues that are meant to outlive a connection: not exclusive, not deleted with their last consumer, with a name of their own."""
    return [queue for queue in seen["queues"] if not queue.get("exclusive") and not _fleeting(queue)]


def important(seen: Seen) -> list[Queue]:
    """The shared queues; with ``--important`` those alone that its pattern finds, even if they are deleted with their last consumer."""
    pattern = seen["important"]
    if pattern is None:
        return shared(seen)
    return [queue for queue in seen["queues"] if not queue.get("exclusive") and pattern.search(queue["name"])]


def _fleeting(queue: Queue) -> bool:
    return bool(queue.get("auto_delete")) or queue["name"].startswith("amq.")


def at(queue: Queue) -> tuple[str, str]:
    """Where it is: virtual host and name."""
    return queue["vhost"], queue["name"]


def names(queues: Iterable[Queue]) -> list[str]:
    """What to call them, or anything else that has a name in a virtual host."""
    return [shown(queue["name"], queue["vhost"]) for queue in queues]


def kind(queue: Queue) -> str:
    """``classic``, ``quorum``, ``stream`` or another type."""
    return str(queue.get("type") or queue.get("arguments", {}).get("x-queue-type") or "classic")


def setting(queue: Queue, key: str) -> Any:
    """What holds for the queue: its argument, or else its policy's; None where neither says. *key* is a policy's: ``message-ttl``.

    Raises:
        Unseen: the queue's policy is not shown.
    """
    found = queue.get("arguments", {}).get(f"x-{key}")
    if found is not None:
        return found
    if "effective_policy_definition" not in queue:
        raise Unseen("The cluster collects no statistics, and without them it does not show which policies its queues obey.")
    return queue["effective_policy_definition"].get(key)


def waits(queue: Queue) -> bool:
    """Whether it is a waiting room: what comes in leaves it after a time, for its dead letter exchange."""
    return setting(queue, "message-ttl") is not None and setting(queue, "dead-letter-exchange") is not None


def some(things: Iterable[str], most: int = 3) -> str:
    """The first of them, and how many more there are: ``a, b, c and 4 more``."""
    things = list(things)
    rest = len(things) - most
    return ", ".join(things[:most]) + (f" and {rest} more" if rest > 0 else "")


def number(count: int, what: str, verb: str = "", *, of: int | None = None) -> str:
    """``1 queue``, ``2 queues``; with a verb ``1 queue has``; with *of* ``1 of 5 queues has``.

    Args:
        count: How many.
        what: In the singular.
        verb: In the plural.
        of: How many there are in all.
    """
    things = what if (count if of is None else of) == 1 else _plural(what)
    counted = f"{count:,} {things}" if of is None else f"{count:,} of {of:,} {things}"
    return f"{counted} {_singular(verb) if count == 1 else verb}" if verb else counted


def every(count: int, what: str, verb: str) -> str:
    """``All 3 queues have``, ``The one queue has``."""
    return f"The one {what} {_singular(verb)}" if count == 1 else f"All {number(count, what, verb)}"


def _plural(what: str) -> str:
    return f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"


def _singular(verb: str) -> str:
    irregular = {"have": "has", "are": "is", "do": "does"}
    return irregular.get(verb) or (f"{verb}es" if verb.endswith(("sh", "ch", "ss")) else f"{verb}s")
