"""Let the contenders run, each in a process of its own, in another order each round."""

import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rabbitlab import broker
from rabbitlab.bench.contenders import ALL, LIMIT, Contender
from rabbitlab.errors import Mendable
from rabbitlab.grading import room
from rabbitlab.nodes import HOST, NODES
from rabbitlab.units import ROOT

WITHIN = 120  # seconds for one contender
ARRIVED_WITHIN = 20  # seconds
NODE = NODES[0]
QUEUE = "measured"
ARGUMENTS = {"x-queue-type": "quorum", "x-queue-leader-locator": "client-local"}


def play(rounds: int, seconds: float, consumed: int, step: Callable[[str], None]) -> dict[str, list[float]]:
    """Messages a second of each contender, round by round.

    Args:
        rounds: How many.
        seconds: For how long each publishes.
        consumed: How many messages each consumer gets.
        step: Called with the title of each contender before it runs.

    Raises:
        Mendable: a contender failed, or what it has told is not so.
    """
    rates: dict[str, list[float]] = {contender.name: [] for contender in ALL}
    for number in range(rounds):
        turn = number % len(ALL)
        for contender in (*ALL[turn:], *ALL[:turn]):
            step(contender.title)
            rates[contender.name].append(_rate(contender, seconds, consumed))
    return rates


def _rate(contender: Contender, seconds: float, consumed: int) -> float:
    """One contender, on a queue of its own that nobody has used before."""
    with new_place() as own:
        if contender.publishes:
            said = told(contender.name, own, seconds=seconds)
            _expect(
                contender, own, said["messages"], exact=contender.name not in ("publish_unconfirmed", "publish_kombu", "publish_patterns")
            )
        else:
            told(LIMIT, own, number=consumed)
            said = told(contender.name, own, number=consumed)
            _expect(contender, own, 0)
        return said["messages"] / said["seconds"]


@contextmanager
def new_place() -> Iterator[room.Room]:
    """A vhost with an empty queue for one contender, removed afterwards."""
    own = room.Room(f"attempt-bench-{secrets.token_hex(4)}")
    try:
        _declare(own)
        yield own
    finally:
        own.remove()


def _declare(place: room.Room) -> None:
    import pika

    parameters = place.parameters
    parameters.port = NODE.amqp
    with pika.BlockingConnection(parameters) as connection:
        connection.channel().queue_declare(queue=QUEUE, durable=True, arguments=ARGUMENTS)


def told(name: str, place: room.Room, **task) -> dict:
    """What a program of ``benchmarks/`` says when it is done: ``messages`` and ``seconds``.

    Args:
        name: Of the program.
        place: Where its queue is.
        task: The rest of what :class:`benchmarks.contender.Task` asks for.

    Raises:
        Mendable: it failed, or did not end in time.
    """
    given = {"host": HOST, "port": NODE.amqp, "user": place.name, "password": place.password, "vhost": place.name, "queue": QUEUE, **task}
    command = [sys.executable, "-m", f"benchmarks.{name}", json.dumps(given)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WITHIN)
        return json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise Mendable(f"benchmarks/{name}.py has not ended after {WITHIN} s. To see how the cluster is: ./lab doctor") from None
    except ValueError:
        said = done.stderr.strip().splitlines()[-3:]
        raise Mendable(f"benchmarks/{name}.py failed: {' / '.join(said)}") from None


def _expect(contender: Contender, place: room.Room, number: int, exact: bool = True) -> None:
    """That the queue holds what the contender has told: a fast program that loses messages is none."""

    def there() -> bool:
        depth = broker.depth(QUEUE, vhost=place.name)
        return depth == number if exact else depth >= number

    try:
        broker.wait_until(there, ARRIVED_WITHIN, f"{number} messages in the queue", seen=lambda: broker.depth(QUEUE, vhost=place.name))
    except TimeoutError as error:
        raise Mendable(f"benchmarks/{contender.name}.py tells another number than the queue holds: {error}") from None
