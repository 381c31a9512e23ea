"""Handlers that raise, crash, or take long; and an acknowledgement too many."""

from collections.abc import Iterator
from itertools import pairwise

from rabbitlab.ledger import STARTED
from rabbitlab.matrix.row import row
from rabbitlab.matrix.scene import Scene

POISON, TRIES, BASE, FACTOR, CAP = 20, 4, 0.5, 2.0, 5.0
BACKOFF_SLACK, BACKOFF_GRACE = 0.2, 0.25  # of the wait, and seconds
DEAD_WITHIN = 2.0  # seconds


@row(
    "poison",
    "poison",
    limit=2,
    publisher={"special": {"raise": POISON}},
    consumer={"retries": {"limit": TRIES, "base": BASE, "factor": FACTOR, "cap": CAP}},
)
def poison(scene: Scene) -> Iterator[None]:
    """Messages that nobody can handle: so many calls, each later than the one before, then the dead letter queue; the others flow."""
    scene.start()
    yield
    tried = scene.poison()
    scene.check(len(tried) == POISON, f"{len(tried)} of {POISON} poison messages were tried")
    wrong = {id: len(at) for id, at in tried.items() if len(at) != TRIES}
    scene.check(not wrong, f"{len(wrong)} poison messages had another number of handler calls than {TRIES}: {sorted(set(wrong.values()))}")
    scene.check(set(tried) <= scene.dead.keys(), f"{len(set(tried) - scene.dead.keys())} poison messages are not in the dead letter queue")
    off = [
        (n, later - earlier)
        for at in tried.values()
        for n, (earlier, later) in enumerate(pairwise(at))
        if abs(later - earlier - min(BASE * FACTOR**n, CAP)) > BACKOFF_SLACK * min(BASE * FACTOR**n, CAP) + BACKOFF_GRACE
    ]
    scene.check(
        not off, f"{len(off)} waits are off by more than 20 % + 250 ms; the worst: {max(off, key=lambda one: one[1], default=None)}"
    )


@row("crash", "handler crashes its process", limit=5, publisher={"special": {"crash": 4}})
def crash(scene: Scene) -> Iterator[None]:
    """``os._exit(9)`` in a handler, four times; a supervisor starts the program again."""
    scene.supervised = True
    scene.start()
    yield
    scene.notes.append(f"{scene.restarts} restarts")
    scene.check(scene.restarts == 4, f"{scene.restarts} restarts, though four messages crash their handler once each")


@row("slow-handler", "handler longer than heartbeat", limit=2, publisher={"special": {"sleep": 2}}, consumer={"sleep": 12, "heartbeat": 2})
def slow_handler(scene: Scene) -> Iterator[None]:
    """A handler that takes six heartbeats, twice: nobody is disconnected, nothing comes twice."""
    scene.start()
    yield
    twice = {id: times for id, times in scene.watch.look().by[STARTED].items() if times > 1}
    scene.check(not twice, f"{len(twice)} messages were handled twice, though nothing was broken")


@row("double-ack", "message acknowledged twice", limit=5, publisher={"special": {"ack": 3}})
def double_ack(scene: Scene) -> Iterator[None]:
    """A delivery is acknowledged twice, three times: RabbitMQ closes the channel (406), and the consumer opens another."""
    scene.start()
    yield
    scene.check(len(scene.told("acknowledged twice")) == 3, "no delivery was acknowledged twice: nothing was tried")
