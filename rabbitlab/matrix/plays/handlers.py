"""Handlers that raise, crash, or take long; and an acknowledgement too many."""

from collections.abc import Iterator
from itertools import pairwise

from rabbitlab.ledger import STARTED
from rabbitlab.matrix.row import row
from rabbitlab.matrix.scene import RETRIES, Scene

POISON = 20  # messages
PARKED_WITHIN = 2.0  # seconds from the last call of its handler to the dead letter queue
GRACE = 0.25  # seconds by which a wait may be off, besides a fifth of it


@row(
    "poison",
    "poison",
    limit=5,
    # Slowly: what is tried again waits behind what is ready, too, and only its own wait is judged.
    publisher={"special": {"raise": POISON}, "rate": 50},
)
def poison(scene: Scene) -> Iterator[None]:
    """Messages that nobody can handle: so many calls, each later than the one before, then the dead letter queue; the others flow."""
    with scene.watches_dead_letters():
        scene.start()
        yield
    tried, limit = scene.poison(), RETRIES["limit"]
    scene.check(len(tried) == POISON, f"{len(tried)} of {POISON} poison messages were tried")
    wrong = sorted({len(at) for at in tried.values()} - {limit})
    scene.check(not wrong, f"some poison messages had {wrong} calls of their handler, and {limit} were asked for")
    scene.check(set(tried) <= scene.dead.keys(), f"{len(set(tried) - scene.dead.keys())} poison messages are not in the dead letter queue")
    scene.check(all(scene.dead.get(id, {}).get("reason") for id in tried), "dead letters do not say why they are dead")
    late = [round(scene.dead_at[id] - at[-1], 1) for id, at in tried.items() if scene.dead_at.get(id, 0) > at[-1] + PARKED_WITHIN]
    scene.check(not late, f"{len(late)} poison messages were dead-lettered after {late} s, {PARKED_WITHIN:g} at most")
    waits = [(_planned(n), later - earlier) for at in tried.values() for n, (earlier, later) in enumerate(pairwise(at))]
    usual = scene.usual_way()
    scene.notes.append(f"other messages are {usual:.2f} s on their way")
    # A message that waits goes two ways more: to the waiting queue, and back.
    off = [(planned, round(seen, 2)) for planned, seen in waits if not 0.8 * planned - GRACE <= seen <= 1.2 * planned + GRACE + 2 * usual]
    scene.check(not off, f"{len(off)} of {len(waits)} waits are off by more than 20 % + 250 ms (planned, seen): {off[:5]}")


def _planned(failure: int) -> float:
    """Seconds between a failure, the first being 0, and the next call."""
    return min(RETRIES["base"] * RETRIES["factor"] ** failure, RETRIES["cap"])


@row("crash", "handler crashes its process", limit=5, publisher={"special": {"crash": 4}})
def crash(scene: Scene) -> Iterator[None]:
    """``os._exit(9)`` in a handler, four times; a supervisor starts the program again."""
    scene.supervised = True
    scene.start()
    yield
    scene.notes.append(f"{scene.restarts} restarts")
    scene.check(scene.restarts == 4, f"{scene.restarts} restarts, though four messages crash their handler once each")


@row("slow-handler", "handler longer than heartbeat", limit=5, publisher={"special": {"sleep": 2}}, consumer={"sleep": 12, "heartbeat": 2})
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
