"""What the checks ask of queues."""

import re
from collections.abc import Iterable
from typing import Any

from rabbitlab.audit.seen import Seen, Unseen

Queue = dict[str, Any]
Place = tuple[str, str]  # virtual host and name
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
    return bool(queue.get("auto_delete")) or queue["name"].startswith(("amq.", "mqtt-subscription-"))  # a session of MQTT is its client's


def at(queue: Queue) -> Place:
    """Where it is, or anything else that has a name in a virtual host."""
    return queue["vhost"], queue["name"]


def shown(name: str, vhost: str) -> str:
    """A thing of a virtual host, as a person would call it."""
    return name if vhost == "/" else f"{name} in {vhost}"


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
    policy_first = key == "overflow" and kind(queue) == "quorum"
    if found is not None and not policy_first:
        return found
    if "effective_policy_definition" not in queue:
        raise Unseen("The cluster collects no statistics, and without them it does not show which policies its queues obey.")
    return queue["effective_policy_definition"].get(key, found)


def told(queue: Queue) -> bool:
    """Whether its policy is shown, or that there is none."""
    return "effective_policy_definition" in queue


def ruled(seen: Seen, queues: list[Queue]) -> list[Queue]:
    """Those whose policy is shown. Others are new, or their node is away, and the check has to leave them out."""
    unsaid = [] if seen["overview"].get("disable_stats") else [queue for queue in queues if not told(queue)]
    if unsaid:
        seen.miss(f"the policy of {some(names(unsaid))} is not shown (a new queue, or its node is away)")
    return [queue for queue in queues if told(queue)] if unsaid else queues


def expires(queue: Queue) -> bool:
    """Whether what grows old in it leaves for its dead letter exchange."""
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
