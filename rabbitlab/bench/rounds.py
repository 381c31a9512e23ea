"""Let the contenders run, each in a process of its own, in another order each round."""

import json
import secrets
import subprocess
import sys
from collections.abc import Callable

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
    place = room.Room(f"attempt-bench-{secrets.token_hex(4)}")
    try:
        _declare(place)
        if contender.publishes:
            told = _told(contender.name, place, seconds=seconds)
            _expect(
                contender, place, told["messages"], exact=contender.name not in ("publish_unconfirmed", "publish_kombu", "publish_patterns")
            )
        else:
            _told(LIMIT, place, number=consumed)
            told = _told(contender.name, place, number=consumed)
            _expect(contender, place, 0)
        return told["messages"] / told["seconds"]
    finally:
        place.remove()


def _declare(place: room.Room) -> None:
    import pika

    parameters = place.parameters
    parameters.port = NODE.amqp
    with pika.BlockingConnection(parameters) as connection:
        connection.channel().queue_declare(queue=QUEUE, durable=True, arguments=ARGUMENTS)


def _told(name: str, place: room.Room, **task) -> dict:
    """What the program says when it is done."""
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
