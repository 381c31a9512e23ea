"""Connections that end, lose a confirm, or become slow; the nodes are well."""

from collections.abc import Iterator
from contextlib import nullcontext

from rabbitlab import faults
from rabbitlab.ledger import CONFIRMED, DONE
from rabbitlab.matrix.row import row
from rabbitlab.matrix.scene import SETTLED, Scene
from rabbitlab.nodes import NODES
from rabbitlab.proxy import Proxy

LOST_CONFIRMS = 5  # a run
NARROW = 8000  # bytes a second
DELAY = 0.3  # seconds
SLOW = 30  # seconds
STORM = 3  # connections through the slow link, at most: one that waits is no reason for another


@row("connections-closed", "every connection closed", limit=2)
def connections_closed(scene: Scene) -> Iterator[None]:
    """An operator closes every connection, three times."""
    scene.start()
    for _ in range(3):
        with scene.fault(faults.closed_connections(vhost=scene.vhost)) as mark:
            pass
        scene.flow(since=mark.ended + SETTLED)
        scene.elapse(scene.random.uniform(0.5, 2.0))
    yield


@row("lost-confirm", "confirm lost on the wire", limit=2)
def lost_confirm(scene: Scene) -> Iterator[None]:
    """RabbitMQ has stored the message, and the publisher never hears of it: sent again, with the same message_id."""
    with Proxy(to=scene.random.choice(NODES).amqp) as proxy:
        scene.start(publisher={"urls": scene.urls(proxy.port)})
        for _ in range(LOST_CONFIRMS):
            accepted = proxy.accepted
            with scene.fault(nullcontext(), "confirm lost") as mark:
                proxy.lose_confirm(nth=scene.random.randrange(1, 10))
                scene.wait(lambda accepted=accepted: proxy.accepted > accepted, 30, "the publisher connects again")
            confirmed = mark.ended + SETTLED
            scene.wait(
                lambda confirmed=confirmed: scene.watch.look().last.get(CONFIRMED, 0) > confirmed, 30, "messages are confirmed again"
            )
        yield
    twice = len(scene.verdict().duplicated)
    scene.notes.append(f"{twice} came twice")
    scene.check(twice, "no message came twice under its message_id, though confirms were lost: what was lost was not sent again")


@row("slow-link", "link of 8 KB/s, 300 ms", publisher={"window": 200})
def slow_link(scene: Scene) -> Iterator[None]:
    """The publisher's link becomes slow and narrow: it waits, holds no more than its window, and does not connect again and again."""
    with Proxy(to=scene.random.choice(NODES).amqp) as proxy:
        scene.start(publisher={"urls": scene.urls(proxy.port)})
        with scene.fault(nullcontext(), "slow and narrow") as mark:
            before = proxy.accepted
            proxy.delay(DELAY)
            proxy.throttle(NARROW)
            scene.elapse(SLOW, since=mark.began)
            through = len(scene.watch.look().moments(DONE, mark.began + SLOW / 2))
            scene.check(through, "nothing came through the slow link in 15 s")
            again = proxy.accepted - before
            scene.notes.append(f"{again} more connections")
            scene.check(again <= STORM, f"{again} more connections were made through the slow link, {STORM} at most")
            proxy.heal()
        scene.flow(since=mark.ended + SETTLED)
        yield
