"""Find consumers that the broker has cancelled, and whose program took no notice."""

import math
import time
from collections import Counter
from typing import Any
from urllib.parse import quote

import httpx

from rabbitlab.audit.asking import Asker, Refused
from rabbitlab.audit.queues import Place, at

LAG = 8.0  # seconds until two numbers of the API must agree: the statistics interval is 5 s where nobody has changed it
YOUNG = 180.0  # seconds: a consumer of a younger connection may not be counted yet, since that interval may be a minute
MOST = 20  # queues that are asked again
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


def _of(connections: set[str], consumers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The consumers of these connections."""
    return [each for each in consumers if (each.get("channel_details") or {}).get("connection_name") in connections]
