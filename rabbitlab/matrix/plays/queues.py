"""What a queue can do to its clients: be deleted, cancel a consumer, refuse what does not fit, be another than expected."""

from collections.abc import Iterator
from contextlib import nullcontext

from rabbitlab import broker
from rabbitlab.ledger import CONFIRMED, DONE, OPEN, REFUSED
from rabbitlab.matrix.row import row
from rabbitlab.matrix.scene import DEAD, QUEUE, SETTLED, Scene

FULL = 100  # messages
CLEAR_WITHIN = 5.0  # seconds for a clear error


@row("queue-deleted", "queue deleted under both", limit=5, after="ended")
def queue_deleted(scene: Scene) -> Iterator[None]:
    """The queue is deleted when it is empty, and declared again 3 s later; what is published meanwhile is returned."""
    scene.start()
    scene.pause()
    with scene.fault(nullcontext(), "queue deleted") as mark:
        broker.api(broker.path("queues", scene.vhost, QUEUE), "DELETE")
        scene.resume()
        scene.elapse(3, since=mark.began)
        scene.wait(lambda: "error" not in scene.topology(), 20, "the queue is declared again")
    scene.flow(since=mark.ended + SETTLED)
    yield
    returned = scene.watch.look().number(REFUSED)
    scene.notes.append(f"{returned} returned")
    scene.check(returned, "nothing that was published to the deleted queue is known as failed")


@row(
    "consumer-timeout",
    "consumer timeout",
    limit=5,
    policy={"consumer-timeout": 4000},
    publisher={"special": {"sleep": 3}, "special_between": (0.2, 0.6)},
    consumer={"sleep": 8},
)
def consumer_timeout(scene: Scene) -> Iterator[None]:
    """A handler takes longer than the queue allows, three times: the broker cancels the consumer, which must come back."""
    scene.start()
    yield
    slow = [id for id, times in scene.watch.look().by["start"].items() if times > 1]
    scene.notes.append(f"{len(slow)} delivered again")
    scene.check(slow, "no message was delivered again, though handlers took longer than the queue allows: nothing was cancelled")


@row(
    "queue-full",
    "queue full, reject-publish",
    policy={"max-length": FULL, "overflow": "reject-publish"},
    publisher={"deadline": 5.0, "window": 500},
)
def queue_full(scene: Scene) -> Iterator[None]:
    """More is published than a queue takes, and nobody consumes; what was refused is never called confirmed."""
    scene.start_publisher()
    with scene.fault(nullcontext(), "queue full"):
        scene.wait(lambda: scene.watch.look().number(REFUSED) + scene.watch.number(OPEN) >= FULL, 60, f"{FULL} messages are refused")
        confirmed = scene.watch.number(CONFIRMED)
        scene.check(confirmed < 3 * FULL, f"{confirmed} messages are called confirmed by a queue that takes {FULL}")
        scene.start_consumer()
        scene.flow(number=FULL)
    scene.flow(since=scene.marks[-1].ended + SETTLED)
    yield
    scene.notes.append(f"{scene.watch.number(REFUSED)} refused, {scene.watch.number(OPEN)} unknown")


@row("declared-otherwise", "declared otherwise (406)")
def declared_otherwise(scene: Scene) -> Iterator[None]:
    """The queues exist with other arguments: a clear error at once, and nobody is disturbed."""
    scene.start()
    told = scene.topology(otherwise=True)
    scene.check(told.get("error"), "the queue was declared with other arguments, and no error was seen")
    scene.check("406" in told.get("error", "") or "PRECONDITION" in told.get("error", ""), f"the error does not say why: {told}")
    scene.check(told.get("seconds", 0) <= CLEAR_WITHIN, f"the error took {told.get('seconds', 0):.1f} s")
    scene.flow(number=100)
    yield


@row("dead-letters-missing", "dead letter target missing", publisher={"special": {"raise": 5}, "special_between": (0.3, 0.5)})
def dead_letters_missing(scene: Scene) -> Iterator[None]:
    """The dead letter queue is deleted, and declared again later: poison that comes meanwhile is kept somewhere."""
    scene.start()
    with scene.fault(nullcontext(), "no dead letter queue"):
        broker.api(broker.path("queues", scene.vhost, DEAD), "DELETE")
        scene.wait(lambda: len(scene.poison()) == 5, 60, "five poison messages were tried")
        tried = scene.watch.look().number(DONE)
        scene.wait(lambda: scene.watch.look().number(DONE) > tried + FULL, 60, "the others keep flowing")
        scene.wait(lambda: "error" not in scene.topology(), 20, "the queue is declared again")
    yield
    scene.check(set(scene.poison()) <= scene.dead.keys(), f"{len(set(scene.poison()) - scene.dead.keys())} of 5 poison messages are gone")
