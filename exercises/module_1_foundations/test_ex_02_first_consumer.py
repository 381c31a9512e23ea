"""Exercise 1.2: the first consumer."""

import json

from rabbitlab.grading import feedback

ORDERS = [
    {"id": 1, "customer": "Ada", "items": ["lamp"]},
    {"id": 2, "customer": "Ben", "items": ["mug", "mug"]},
    {"id": 3, "customer": "Cem", "items": ["book"]},
    {"id": 4, "customer": "Dora", "items": ["lamp", "book"]},
    {"id": 5, "customer": "Eva", "items": ["mug"]},
]


class Stumbled(Exception):
    """What our pack() raises when it is told to."""


def test_each_order_is_packed(attempt, answer):
    attempt.declare("orders")
    attempt.publish("orders", *ORDERS[:3])

    seen = answer.run(lambda mine: work(mine, attempt, n=3)).value

    assert not seen["no_orders"], feedback(
        saw=f"pack() was handed {seen['no_orders'][0]}, and not a dict.",
        rule="RabbitMQ carries bytes and never reads them; what they mean is between the producer and the consumer.",
        look="Lesson 1.4, 'Send orders that a program can read'; ./lab hint 1/ex_02",
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
    attempt.declare("orders")
    attempt.publish("orders", *ORDERS)

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
        saw=f"Two of five orders were packed, {told(seen['packed'])}. Of the other three the queue holds {told(after)}; the rest is in no "
        "queue, and nobody packed it.",
        rule="A message that was acknowledged is gone, packed or not. With automatic acknowledgement that is the moment when it is sent.",
        look="Lesson 1.2, 'Sign for it': what acknowledges in your program, and when? ./lab hint 1/ex_02",
    )


def test_an_order_survives_a_stumble(attempt, answer):
    attempt.declare("orders")
    attempt.publish("orders", *ORDERS[:4])

    seen = answer.run(lambda mine: work(mine, attempt, n=4, stumble_at=3)).value

    assert seen["stumbled"], feedback(
        saw=f"pack() raised an exception at order 3, and pack_orders returned {seen['returned']!r}: its caller never learnt of it.",
        rule="An acknowledgement tells RabbitMQ that the work is done. That it failed is told to nobody, unless your program tells it.",
        look="The docstring of your file, where it speaks of pack; what in your program catches exceptions",
    )
    assert seen["unacked"] == 0, feedback(
        saw="pack() raised an exception at order 3. When it reached our caller, RabbitMQ held something as delivered to you and not "
        f"acknowledged (messages: {seen['unacked']}), and the program was still running.",
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
    attempt.declare("orders")
    attempt.publish("orders", *ORDERS[:2])

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


def work(mine, attempt, n: int, stumble_at: int = 0) -> dict:
    """Let the answer pack, and look at the queue at the very moment when it has returned or raised, with the program still running."""
    packed, no_orders = [], []

    def pack(order):
        if not isinstance(order, dict):
            no_orders.append(repr(order)[:80])
        elif order.get("id") == stumble_at:
            raise Stumbled(f"order {stumble_at} fell off the table")
        packed.append(order if isinstance(order, dict) else repr(order))

    seen = {"returned": None, "stumbled": False, "packed": packed, "no_orders": no_orders}
    try:
        seen["returned"] = mine.pack_orders(attempt.parameters(), n, pack)
    except Stumbled:
        seen["stumbled"] = True
    return {**seen, "ready": attempt.depth("orders"), "unacked": attempt.unacked("orders")}


def left(attempt) -> list:
    """What is ready now that the program has ended."""
    return [json.loads(body) for body, _ in attempt.take("orders")]


def told(orders: list) -> str:
    """Orders in words: "order 1, order 2"."""
    return ", ".join(f"order {o['id']}" if isinstance(o, dict) and "id" in o else str(o)[:60] for o in orders) or "none of them"


def times(number: int) -> str:
    """A number of calls in words."""
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number} times")
