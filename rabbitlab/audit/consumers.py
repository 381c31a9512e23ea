"""Find consumers that the broker has cancelled and whose program took no notice, and those that hold messages and do nothing."""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

from rabbitlab.audit.asking import Asker, Refused
from rabbitlab.audit.queues import Place, at

LAG = 8.0  # seconds until two numbers of the API must agree: the statistics interval is 5 s where nobody has changed it
YOUNG = 180.0  # seconds: a consumer of a younger connection may not be counted yet, since that interval may be a minute
MOST = 20  # queues that are asked again
LONG = 60.0  # seconds in which one who holds several messages ought to have done one of them
HELD = "consumers,consumer_details.channel_details.connection_name"  # what a queue is asked


def cancelled(
    asker: Asker, queues: list[dict[str, Any]], consumers: list[dict[str, Any]], connections: list[dict[str, Any]]
) -> list[Place]:
    """Queues that have let go of a consumer whose channel still has it: the broker cancelled it, and its program took no notice.

    A queue's count may be older than the list of consumers. So the queues that differ are asked again, until the two agree or long
    enough, and consumers of young connections are left out: where the statistics interval was raised, they are counted much later.
    """
    deadline = time.monotonic() + LAG
    old = {each["name"] for each in connections if (each.get("connected_at") or math.inf) <= (time.time() - YOUNG) * 1000}
    held = Counter(at(each["queue"]) for each in _of(old, consumers))
    counted = {at(queue): queue["consumers"] for queue in queues if queue.get("consumers") is not None}
    suspects = set(sorted(place for place, count in counted.items() if held[place] > count)[:MOST])
    unknown: set[Place] = set()
    while suspects and time.monotonic() < deadline:
        time.sleep(LAG / 4)
        unknown.clear()
        for vhost, name in sorted(suspects):
            try:
                queue = asker.json(f"api/queues/{quote(vhost, safe='')}/{quote(name, safe='')}", columns=HELD)
            except Refused as refused:
                if refused.status != 404:
                    return []
                suspects.discard((vhost, name))  # deleted meanwhile
                continue
            except httpx.RequestError:
                return []
            if not queue:  # an empty list, while its node has no numbers of it
                unknown.add((vhost, name))
            elif len(_of(old, queue.get("consumer_details") or [])) <= queue.get("consumers", 0):
                suspects.discard((vhost, name))
    return sorted(suspects - unknown)


def stuck(
    channels: list[dict[str, Any]], consumers: list[dict[str, Any]], queues: list[dict[str, Any]], again: Callable[[], list[dict[str, Any]]]
) -> list[Place]:
    """Queues where messages wait, and consumers hold several others: all they may, with nothing acknowledged for long.

    One message may be an hour's work. Of several, all but one wait where nobody else gets them, whether their consumer works or is stuck.
    A channel that has done nothing for a while says since when. What it says may be older than its next acknowledgement, so it is looked
    at again, until it has done something or long enough.

    Args:
        channels: As they were read.
        consumers: As they were read.
        queues: As they were read.
        again: Reads the channels once more.
    """
    waiting = {at(queue) for queue in queues if queue.get("messages_ready")}
    held: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for consumer in consumers:
        if consumer.get("ack_required") and consumer.get("active", True):  # with a single active consumer the others hold nothing
            held[(consumer.get("channel_details") or {}).get("name", "")].append(consumer)
    suspects = {
        name: since for name, since in _idle(channels, held).items() if any(at(consumer["queue"]) in waiting for consumer in held[name])
    }
    deadline = time.monotonic() + LAG
    while suspects and time.monotonic() < deadline:
        time.sleep(LAG / 4)
        try:
            now = _idle(again(), held)
        except (Refused, httpx.RequestError):
            return []
        suspects = {name: since for name, since in suspects.items() if now.get(name) == since}
    places = (at(consumer["queue"]) for name in suspects for consumer in held[name])
    return sorted({place for place in places if place in waiting})


def _idle(channels: list[dict[str, Any]], held: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """The channels whose consumers hold several messages, all they may, and that have done nothing for long: since when."""
    found = {}
    for channel in channels:
        name, since = channel.get("name", ""), channel.get("idle_since")
        limits = [consumer.get("prefetch_count") or math.inf for consumer in held.get(name, ())]
        full = len(limits) < sum(limits) <= channel.get("messages_unacknowledged", 0)
        if full and since and time.time() - datetime.fromisoformat(since).timestamp() >= LONG:
            found[name] = since
    return found


def _of(connections: set[str], consumers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The consumers of these connections."""
    return [each for each in consumers if (each.get("channel_details") or {}).get("connection_name") in connections]
