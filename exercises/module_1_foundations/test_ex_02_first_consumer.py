"""Exercise 1.2: the first consumer."""

import json
import threading
import time

import pika

from rabbitlab.grading import feedback

ORDERS = [
    {"id": 1, "customer": "Ada", "items": ["lamp"]},
    {"id": 2, "customer": "Zoë", "items": ["mug", "mug"], "gift": True, "note": None},
    {"id": 3, "customer": "Cem", "items": ["book"]},
    {"id": 4, "customer": "Dora", "items": ["lamp", "book"]},
    {"id": 5, "customer": "Eva", "items": ["mug"]},
]


BUSY = 0.2  # seconds that one of the slower parcels takes
LATER = 0.25  # seconds after which one more order comes; well within the half second of the docstring
TOO_LATE = 0.4  # seconds after which it has come, on a machine with much else to do, so late that nobody need have waited for it
LONG = 2.5  # seconds in which whoever waits half a second has surely gone


class Stumbled(Exception):
    """What our pack() raises when it is told to."""


def test_each_order_is_packed(attempt, answer):
    lay_out(attempt, ORDERS[:3])

    seen = answer.run(lambda mine: work(mine, attempt, n=3)).value

    assert not seen["no_orders"], feedback(
        saw=f"pack() was handed {seen['no_orders'][0]}, and not a dict.",
        rule="RabbitMQ carries bytes and never reads them; what they mean is between the producer and the consumer.",
        look="Lesson 1.4, 'Send orders that a program can read'; ./lab hint 1/ex_02",
    )
    known = [order for order in seen["packed"] if order.get("id") in (1, 2, 3)]
    assert known or seen["ready"] < 3 or was_delivered(attempt), feedback(
        saw=f"Your program took nothing from where `parameters` leads: all three orders lie there as before, and {handed(seen)}.",
        rule="A connection leads to one virtual host of one server. A queue of another name, or of this name elsewhere, is another queue.",
        look="The `parameters` that your function was given, and the queue that it takes from",
    )
    assert seen["packed"], feedback(
        saw=f"The queue held {told(ORDERS[:3])}, and your program took from it; pack() was never called.",
        rule="RabbitMQ delivers a message to your program and knows nothing of pack; what becomes of the message is up to your code.",
        look="Args: in the docstring of your file, and what your program does with an order that it has taken",
    )
    changed = [(sent, got) for sent in ORDERS[:3] for got in known if got["id"] == sent["id"] and got != sent]
    assert not changed, feedback(
        saw=f"The body of a message was {written(changed and changed[0][0])}; pack() was handed {written(changed and changed[0][1])}.",
        rule="A body is bytes, and bytes are text by an encoding. JSON is written in UTF-8; read by another, it has other letters.",
        look="Lesson 1.4, 'Send orders that a program can read': what makes an order out of the body in your program?",
    )
    assert all(seen["packed"].count(order) == 1 for order in known), feedback(
        saw=f"The queue held {told(ORDERS[:3])}, once each; pack() was handed {told(seen['packed'])}.",
        rule="Each call of pack is a parcel. RabbitMQ delivers a message again only if somebody gave it back, or left without "
        "acknowledging it.",
        look="The lines of your program that call pack, and what gives an order back; ./lab hint 1/ex_02",
    )
    assert seen["packed"] == ORDERS[:3], feedback(
        saw=f"The queue held {told(ORDERS[:3])}, and we asked for three; pack() was handed {told(seen['packed'])}.",
        rule="A queue hands its messages out in the order in which they came, each to one consumer.",
        look="Lesson 1.4, 'Take them until none is left'; ./lab hint 1/ex_02",
    )
    assert seen["unacked"] == 0, feedback(
        saw=f"All three orders were packed. When pack_orders returned, RabbitMQ had {seen['unacked']} of them marked as delivered and "
        "not acknowledged.",
        rule="A message stays in its queue until it is acknowledged; delivered is not yet done.",
        look="Lesson 1.2, 'Sign for it'; ./lab hint 1/ex_02",
    )
    assert seen["ready"] == 0, feedback(
        saw=f"All three orders were packed. When pack_orders had returned, {told(left(attempt))} lay in the queue again, to be packed "
        "twice.",
        rule="What was delivered and not acknowledged is ready again once the channel or the connection by which it came is closed.",
        look="Lesson 1.2, 'Leave without signing'; ./lab hint 1/ex_02",
    )
    assert seen["returned"] == 3, feedback(
        saw=f"Three orders were packed, and pack_orders returned {seen['returned']!r}.",
        rule="RabbitMQ does not report how much a consumer has done; who wants to know must count.",
        look="Returns: in the docstring of your file",
    )


def test_the_rest_stays_ready(attempt, answer):
    lay_out(attempt, ORDERS)

    seen = answer.run(lambda mine: work(mine, attempt, n=2)).value

    assert len(seen["packed"]) == 2, feedback(
        saw=f"Five orders were ready, and we asked for two; pack() was handed {told(seen['packed'])}.",
        rule="A consumer is handed messages as long as it asks for the next one; RabbitMQ does not know when it has had enough.",
        look="Lesson 1.4, 'Stop in the middle'; ./lab hint 1/ex_02",
    )
    assert seen["unacked"] == 0, feedback(
        saw=f"Two of five orders were packed. When pack_orders returned, {seen['ready']} were ready, and RabbitMQ held "
        f"{seen['unacked']} as delivered to you and not acknowledged.",
        rule="A consumer is sent messages ahead of the one it works on. Nobody else gets those until they are handed back, or the "
        "connection is closed.",
        look="Lesson 1.4, 'Stop in the middle'; ./lab hint 1/ex_02",
    )
    after = left(attempt)
    assert after == ORDERS[2:], feedback(
        saw=f"Two of five orders were packed, {told(seen['packed'])}. {whereabouts(after)}",
        rule="A message that was acknowledged is gone, packed or not. With automatic acknowledgement that is the moment when it is sent.",
        look="Lesson 1.4, 'Take them until none is left': what acknowledges in your program, and when? ./lab hint 1/ex_02",
    )


def test_an_order_survives_a_stumble(attempt, answer):
    lay_out(attempt, ORDERS[:4])

    seen = answer.run(lambda mine: work(mine, attempt, n=4, stumble_at=3)).value

    assert not seen["instead"], feedback(
        saw=f"pack() raised Stumbled at order 3; what reached the caller of pack_orders was {seen['instead']}.",
        rule="An exception is known by its class: a caller who is prepared for the one is not prepared for the other.",
        look="The docstring of your file, where it speaks of pack; what in your program catches exceptions, or runs while one passes",
    )
    assert seen["stumbled"], feedback(
        saw=f"pack() raised an exception at order 3, and pack_orders returned {seen['returned']!r}: its caller never learnt of it.",
        rule="An acknowledgement tells RabbitMQ that the work is done. That it failed is told to nobody, unless your program tells it.",
        look="The docstring of your file, where it speaks of pack; what in your program catches exceptions",
    )
    assert seen["unacked"] == 0, feedback(
        saw=f"pack() raised an exception at order 3. When it reached our caller, RabbitMQ held {messages(seen['unacked'])} as delivered to "
        "you and not acknowledged, and the program was still running.",
        rule="RabbitMQ keeps a delivered message for its consumer as long as the connection lives, working or not.",
        look="Lesson 1.2, 'Leave without signing': what closed the connection there? ./lab hint 1/ex_02",
    )
    after = left(attempt)
    assert ORDERS[2] in after, feedback(
        saw="pack() raised an exception at order 3. Order 3 was never packed, and it is in no queue.",
        rule="A message that was acknowledged, or refused for good, is gone. RabbitMQ does not bring it back when the work fails "
        "afterwards.",
        look="Lesson 1.2, 'Sign for it'; ./lab hint 1/ex_02",
    )
    assert not [order for order in seen["packed"] if order in after], feedback(
        saw=f"pack() raised an exception at order 3. Packed by then: {told(seen['packed'])}. In the queue afterwards: {told(after)}.",
        rule="Whatever is not acknowledged at the moment when the connection closes is ready again, packed or not.",
        look="Lesson 1.2, the table at the end: who has the message when? ./lab hint 1/ex_02",
    )
    assert after == ORDERS[2:4], feedback(
        saw=f"pack() raised an exception at order 3; orders 1 and 2 were packed. The queue holds {told(after)}.",
        rule="What was not acknowledged goes back to the place in the queue where it stood; what was acknowledged is gone.",
        look="Lesson 1.2, 'Watch a van break down'; ./lab hint 1/ex_02",
    )


def test_it_ends_when_no_order_comes(attempt, answer):
    lay_out(attempt, ORDERS[:2])

    seen = answer.run(lambda mine: work(mine, attempt, n=5), within=6).value

    assert seen["returned"] == len(seen["packed"]), feedback(
        saw=f"We asked for five orders, and the queue held fewer: pack() was called {times(len(seen['packed']))}, and pack_orders returned "
        f"{seen['returned']!r}.",
        rule="How many orders are asked for and how many a queue holds are two numbers; RabbitMQ gives what there is.",
        look="Returns: in the docstring of your file",
    )
    assert seen["packed"] == ORDERS[:2], feedback(
        saw=f"The queue held {told(ORDERS[:2])}; pack() was handed {told(seen['packed'])}.",
        rule="A queue gives what it holds, whether or not it is as much as was asked for.",
        look="Lesson 1.4, 'Take them until none is left'; ./lab hint 1/ex_02",
    )
    assert seen["lingered"] < LONG, feedback(
        saw=f"The queue was empty, and no other order came; pack_orders returned {seen['lingered']:.1f} s after the last was packed.",
        rule="A queue does not say that nothing more will come. How much silence is enough, the consumer decides.",
        look="The docstring of your file, where it says when to stop; Lesson 1.4, 'Take them until none is left'",
    )


def test_it_stays_while_orders_come(attempt, answer):
    seen = stay(attempt, answer)

    there = [order for order in seen["packed"] if order in ORDERS[:4]]
    assert there == ORDERS[:4], feedback(
        saw=f"Four orders lay ready, and we asked for ten; pack() took {BUSY:g} s for each of the first three. It was handed "
        f"{told(there)}, and pack_orders returned {seen['returned']!r}.",
        rule="A queue in which an order lies ready is not silent. The time that the work takes is no silence either.",
        look="The docstring of your file, where it says when to stop: from which moment does your program count?",
    )
    assert ORDERS[4] in seen["packed"] or (seen["late"] or 0) > TOO_LATE, feedback(
        saw=f"Four orders were packed; {seen['late']:.2f} s after the fourth, order 5 came. It was never packed: pack_orders returned "
        f"{seen['returned']!r}.",
        rule="That a queue is empty is true of one moment. What comes in the next, RabbitMQ tells only those who still listen.",
        look="The docstring of your file, where it says when to stop; Lesson 1.4, 'Take them until none is left'",
    )


def stay(attempt, answer) -> dict:
    """Let the answer pack three parcels that take their time, one that does not, and one whose order comes a little later.

    Where the machine was so busy that the order came too late to be waited for, once more.
    """
    for _ in range(3):
        attempt.wipe()
        lay_out(attempt, ORDERS[:4])
        seen = answer.run(lambda mine: work(mine, attempt, n=10, busy=(1, 2, 3), then=(4, ORDERS[4])), within=8).value
        if (seen["late"] or 0) <= TOO_LATE:
            break
    return seen


def lay_out(attempt, orders: list) -> None:
    """Put *orders* into the queue as bytes, the letters as they are."""
    attempt.declare("orders")
    attempt.publish("orders", *[as_bytes(order) for order in orders])


def as_bytes(order: dict) -> bytes:
    """JSON in UTF-8."""
    return json.dumps(order, ensure_ascii=False).encode()


def work(mine, attempt, n: int, stumble_at: int = 0, busy: tuple = (), then: tuple = ()) -> dict:
    """Let the answer pack, and look at the queue at the very moment when it has returned or raised, with the program still running.

    Args:
        mine: The answer.
        attempt: Of this run.
        n: How many orders to ask for.
        stumble_at: The order at which pack() raises.
        busy: The orders for which pack() takes ``BUSY`` seconds.
        then: (order, another): ``LATER`` seconds after the one was packed, the other comes.
    """
    packed, no_orders = [], []
    postman = Postman(attempt, then[1]) if then else None
    ended = time.monotonic()

    def pack(order):
        nonlocal ended
        number = order.get("id") if isinstance(order, dict) else None
        if not isinstance(order, dict):
            no_orders.append(repr(order)[:80])
        if number and number == stumble_at:
            raise Stumbled(f"order {stumble_at} fell off the table")
        if number in busy:
            wrap_with_care()
        packed.append(order if isinstance(order, dict) else repr(order))
        if postman and number == then[0] and not postman.ident:
            postman.start()
        ended = time.monotonic()

    seen = {"returned": None, "stumbled": False, "instead": "", "packed": packed, "no_orders": no_orders}
    try:
        seen["returned"] = mine.pack_orders(attempt.parameters(), n, pack)
    except Stumbled:
        seen["stumbled"] = True
    except Exception as error:
        if not came_from_stumbling(error):
            raise
        seen["instead"] = type(error).__name__
    seen["lingered"] = time.monotonic() - ended
    if postman and postman.ident:
        postman.join()
    return {**seen, "late": postman and postman.late, "ready": attempt.depth("orders"), "unacked": attempt.unacked("orders")}


def wrap_with_care() -> None:
    """The work that takes a while."""
    time.sleep(BUSY)


class Postman(threading.Timer):
    """Brings one more order, ``LATER`` seconds after he was started.

    Attributes:
        late: Seconds from his start to the moment when RabbitMQ had the order; None before.
    """

    def __init__(self, attempt, order: dict):
        super().__init__(LATER, self._bring, (attempt, order))
        self.daemon = True
        self.late: float | None = None

    def start(self) -> None:
        """Set out."""
        self._began = time.monotonic()
        super().start()

    def _bring(self, attempt, order: dict) -> None:
        attempt.publish("orders", as_bytes(order))
        self.late = time.monotonic() - self._began


def came_from_stumbling(error: BaseException | None) -> bool:
    """Whether *error* was raised in place of, or because of, a Stumbled."""
    while error is not None and not isinstance(error, Stumbled):
        error = error.__cause__ or error.__context__
    return error is not None


def was_delivered(attempt) -> bool:
    """Whether the first order that is ready was out of its queue before; it is handed back."""
    with pika.BlockingConnection(attempt.parameters()) as connection:
        method, _, _ = connection.channel().basic_get(queue="orders")
        return bool(method and method.redelivered)


def left(attempt) -> list:
    """What is ready now that the program has ended."""
    return [json.loads(body) for body, _ in attempt.take("orders")]


def told(orders: list) -> str:
    """Orders in words: "order 1, order 2"."""
    return ", ".join(f"order {o['id']}" if isinstance(o, dict) and "id" in o else str(o)[:60] for o in orders) or "none of them"


def times(number: int) -> str:
    """A number of calls in words."""
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number} times")


def handed(seen: dict) -> str:
    """What pack() got, in words."""
    return f"pack() was handed {told(seen['packed'])}" if seen["packed"] else "pack() was never called"


def whereabouts(after: list) -> str:
    """What became of the last three of the five orders, where the queue holds *after*."""
    lost = [order for order in ORDERS[2:] if order not in after]
    if len(lost) == 3:
        return "The other three are in no queue, and nobody packed them."
    if lost:
        is_lost, them = ("is", "it") if len(lost) == 1 else ("are", "them")
        return f"Of the other three, {told(lost)} {is_lost} in no queue, and nobody packed {them}."
    return f"The queue holds {told(after)}."


def written(order: dict) -> str:
    """An order as JSON, the letters as they are."""
    return json.dumps(order, ensure_ascii=False)


def messages(number: int) -> str:
    """A number of messages in words."""
    return f"{number} message{'s' * (number != 1)}"
