"""Where dead letters go: follow exchanges and bindings from a queue's dead letter exchange."""

import re
from collections import defaultdict
from typing import Any

from rabbitlab.audit.queues import DEAD, Place, Queue, at, expires, setting, told
from rabbitlab.audit.seen import Seen

# Virtual host, exchange, and routing keys: one, or those that a message of the queue may have, or None where it may have any.
Way = tuple[str, str, str | frozenset[str] | None]


class Letters:
    """The ways of dead letters through a cluster.

    Args:
        seen: Its ``queues``, ``exchanges`` and ``bindings`` are read, and the ``overview``.
    """

    def __init__(self, seen: Seen):
        self._no_statistics = bool(seen["overview"].get("disable_stats"))
        self._exchanges = {at(exchange): exchange for exchange in seen["exchanges"]}
        self._queues = {at(queue): queue for queue in seen["queues"]}
        self._bindings: dict[Place, _Bindings] = {}
        # Of a queue: the exchanges that it is bound to, and the keys of each.
        self._sources: dict[Place, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for binding in seen["bindings"]:
            place = binding["vhost"], binding["source"]
            if place not in self._bindings:
                self._bindings[place] = _Bindings(self._exchanges.get(place, {}).get("type", "direct"))
            self._bindings[place].add(binding)
            if binding["destination_type"] == "queue" and binding["source"]:  # the default exchange leads to every queue
                self._sources[binding["vhost"], binding["destination"]][binding["source"]].add(binding["routing_key"])
        self._found: dict[Way, list[Queue]] = {}
        self._to_work: dict[Way, bool] = {}
        self._only_dead: set[Place] | None = None

    @classmethod
    def of(cls, seen: Seen) -> "Letters":
        """Those of a cluster, worked out once."""
        letters: Letters = seen.once("letters", cls)
        return letters

    def exchange_exists(self, queue: Queue) -> bool:
        """Whether the queue's dead letter exchange does."""
        name = setting(queue, "dead-letter-exchange")
        return name == "" or (queue["vhost"], name) in self._exchanges

    def way(self, queue: Queue) -> Way | None:
        """The first step of its dead letters; queues with the same have the same targets."""
        name = setting(queue, "dead-letter-exchange") if self._told(queue) else None
        if name is None:
            return None
        key = setting(queue, "dead-letter-routing-key")
        if key is None and name == "":
            key = queue["name"]
        elif key is None and self._is_direct(queue["vhost"], name):
            key = self._keys(queue)
        return queue["vhost"], name, key

    def targets(self, queue: Queue) -> list[Queue]:
        """The queues that take its dead letters. Where the routing key is that of the message, all that may."""
        way = self.way(queue)
        if way is None:
            return []
        if way not in self._found:
            vhost, exchange, given = way
            keys = given if isinstance(given, frozenset) else {given}
            reached = {place for key in keys for place in self._reached(vhost, exchange, key, set())}
            self._found[way] = [self._queues[place] for place in sorted(reached) if place in self._queues]
        return self._found[way]

    def waits(self, queue: Queue) -> bool:
        """Whether it is a waiting room: nobody consumes it, and what comes in leaves it after a time, for a queue of work."""
        if queue.get("consumers") or not self._told(queue) or not expires(queue):
            return False
        way = self.way(queue)
        if way is not None and way not in self._to_work:
            self._to_work[way] = any(map(self.works, self.targets(queue)))
        return way is not None and self._to_work[way]

    def works(self, queue: Queue) -> bool:
        """Whether a queue seems to hold work: somebody consumes it, or what fails there goes on to another place."""
        if DEAD.search(queue["name"]):
            return False
        if not self._told(queue):
            return True  # it may
        return bool(queue.get("consumers")) or setting(queue, "dead-letter-exchange") is not None

    def only_dead(self, queue: Queue) -> bool:
        """Whether each exchange that the queue is bound to is there for dead letters: some queue names it, and it brings work to none."""
        if self._only_dead is None:
            ways = filter(None, map(self.way, self._queues.values()))
            self._only_dead = {(vhost, exchange) for vhost, exchange, _ in ways} - {
                (vhost, source) for (vhost, name), sources in self._sources.items() if self._gets_work(vhost, name) for source in sources
            }
        return all((queue["vhost"], source) in self._only_dead for source in self._sources.get(at(queue), ()))

    def _is_direct(self, vhost: str, exchange: str) -> bool:
        return self._exchanges.get((vhost, exchange), {}).get("type") == "direct"

    def _keys(self, queue: Queue) -> frozenset[str] | None:
        """The routing keys that a message in the queue may have: those of its bindings where all are direct, and its own name."""
        sources = self._sources.get(at(queue), {})
        if not all(self._is_direct(queue["vhost"], source) for source in sources):
            return None
        return frozenset({queue["name"]}.union(*sources.values()))

    def _told(self, queue: Queue) -> bool:
        """Whether its policy is shown; where no queue has statistics, who asks for one is told so."""
        return self._no_statistics or told(queue)

    def _gets_work(self, vhost: str, name: str) -> bool:
        """Whether what is bound brings it work. A waiting room gets what is to be tried again."""
        queue = self._queues.get((vhost, name))
        return queue is not None and self.works(queue) and not self.waits(queue)

    def _reached(self, vhost: str, exchange: str, key: str | None, seen: set[str]) -> set[Place]:
        if exchange == "":
            return {(vhost, str(key))}
        if exchange in seen:
            return set()
        seen.add(exchange)
        found: set[Place] = set()
        bindings = self._bindings.get((vhost, exchange))
        for binding in bindings.taking(key) if bindings else ():
            if binding["destination_type"] == "queue":
                found.add((vhost, binding["destination"]))
            else:
                found |= self._reached(vhost, binding["destination"], key, seen)
        alternate = self._exchanges.get((vhost, exchange), {}).get("arguments", {}).get("alternate-exchange")
        if not found and alternate:
            found = self._reached(vhost, alternate, key, seen)
        return found


class _Bindings:
    """Those of one exchange; exchanges that look at something else than the key are given the benefit of the doubt.

    Args:
        kind: The exchange's type.
    """

    def __init__(self, kind: str):
        self._kind = kind
        self._all: list[dict[str, Any]] = []
        self._by_key: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._by_pattern: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._patterns: dict[str, re.Pattern[str]] = {}

    def add(self, binding: dict[str, Any]) -> None:
        self._all.append(binding)
        key = binding["routing_key"]
        if self._kind == "topic" and {"*", "#"} & set(key.split(".")):
            self._by_pattern[key].append(binding)
            self._patterns.setdefault(key, _pattern(key))
        else:
            self._by_key[key].append(binding)

    def taking(self, key: str | None) -> list[dict[str, Any]]:
        """Those that take a routing key; all, where it is not known."""
        if key is None or self._kind not in ("direct", "topic"):
            return self._all
        found = list(self._by_key.get(key, ()))
        for text, pattern in self._patterns.items():
            if pattern.fullmatch(key):
                found += self._by_pattern[text]
        return found


def _pattern(key: str) -> re.Pattern[str]:
    """The binding key of a topic exchange as a regular expression."""
    words = [{"*": r"[^.]*", "#": r".*"}.get(word, re.escape(word)) for word in key.split(".")]
    return re.compile(r"\.".join(words).replace(r".*\.", r"(?:.*\.)?").replace(r"\..*", r"(?:\..*)?"))
