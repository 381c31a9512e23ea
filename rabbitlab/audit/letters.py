"""Where dead letters go: follow exchanges and bindings from a queue's dead letter exchange."""

import re
from collections import defaultdict
from typing import Any

from rabbitlab.audit.queues import Queue, setting
from rabbitlab.audit.seen import Seen


class Letters:
    """The ways of dead letters through a cluster.

    Args:
        seen: Its ``queues``, ``exchanges`` and ``bindings`` are read.
    """

    def __init__(self, seen: Seen):
        self._exchanges = {(exchange["vhost"], exchange["name"]): exchange for exchange in seen["exchanges"]}
        self._queues = {(queue["vhost"], queue["name"]): queue for queue in seen["queues"]}
        self._bindings: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for binding in seen["bindings"]:
            self._bindings[binding["vhost"], binding["source"]].append(binding)

    def exchange_exists(self, queue: Queue) -> bool:
        """Whether the queue's dead letter exchange does."""
        name = setting(queue, "dead-letter-exchange")
        return name == "" or (queue["vhost"], name) in self._exchanges

    def targets(self, queue: Queue) -> list[Queue]:
        """The queues that take its dead letters. Where the routing key is that of the message, all that the exchange may reach."""
        name = setting(queue, "dead-letter-exchange")
        if name is None:
            return []
        key = setting(queue, "dead-letter-routing-key")
        if name == "":
            found = self._queues.get((queue["vhost"], key if key is not None else queue["name"]))
            return [found] if found else []
        reached = self._reached(queue["vhost"], name, key, set())
        return [self._queues[at] for at in sorted(reached) if at in self._queues]

    def _reached(self, vhost: str, exchange: str, key: str | None, seen: set[str]) -> set[tuple[str, str]]:
        if exchange in seen:
            return set()
        seen.add(exchange)
        found: set[tuple[str, str]] = set()
        kind = self._exchanges.get((vhost, exchange), {}).get("type", "direct")
        for binding in self._bindings[vhost, exchange]:
            if key is not None and not _matches(kind, binding["routing_key"], key):
                continue
            if binding["destination_type"] == "queue":
                found.add((vhost, binding["destination"]))
            else:
                found |= self._reached(vhost, binding["destination"], key, seen)
        alternate = self._exchanges.get((vhost, exchange), {}).get("arguments", {}).get("alternate-exchange")
        if not found and alternate:
            found = self._reached(vhost, alternate, key, seen)
        return found


def _matches(kind: str, pattern: str, key: str) -> bool:
    """Whether a binding takes a routing key; exchanges that look at something else are given the benefit of the doubt."""
    if kind == "direct":
        return pattern == key
    if kind == "topic":
        words = [{"*": r"[^.]*", "#": r".*"}.get(word, re.escape(word)) for word in pattern.split(".")]
        expression = r"\.".join(words).replace(r".*\.", r"(?:.*\.)?").replace(r"\..*", r"(?:\..*)?")
        return re.fullmatch(expression, key) is not None
    return True
