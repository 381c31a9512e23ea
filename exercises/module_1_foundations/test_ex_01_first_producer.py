"""Exercise 1.1: the till puts its orders down.

Run it with ``./lab check 1/ex_01``, or with pytest alone. The checks stand in the order in which trouble is met.
"""

import contextlib
import json

from rabbitlab.grading import feedback

ORDERS = [
    {"customer": "Ada", "items": ["lamp"]},
    {"customer": "Zoë", "items": ["mug", "mug", "book"]},
    {"customer": "Cem", "items": []},
]
WAITING = [{"customer": "Dora", "items": ["chair"]}, {"customer": "Eva", "items": ["vase"]}]
CALLED = "We called send_orders with three orders"


def send(attempt, answer, orders=ORDERS):
    """Let the learner's till send; returns what it returned."""
    return answer.run(lambda mine: mine.send_orders(attempt.parameters(), orders)).value


def test_each_order_becomes_one_message(attempt, answer):
    send(attempt, answer)

    held = attempt.depth("orders")
    assert held != 0, feedback(
        saw=f"{CALLED}; the queue `orders` is there, and it is empty.",
        rule="The default exchange passes a message to the queue whose name is the routing key; where none has it, the message is dropped, "
        "and confirmed all the same.",
        look="Lesson 1.4, 'Misspell a queue'; ./lab hint 1/ex_01",
    )
    assert held == len(ORDERS), feedback(
        saw=f"{CALLED}; the queue `orders` holds {held} message{'s' * (held != 1)}.",
        rule="Each publish makes one message, and a packer takes, and signs for, one message at a time.",
        look="Lesson 1.4, 'Send orders that a program can read'; ./lab hint 1/ex_01",
    )


def test_each_body_is_an_order_as_json(attempt, answer):
    send(attempt, answer)

    bodies = [body for body, _ in attempt.take("orders")]
    for body in bodies:
        assert is_json(body), feedback(
            saw=f"The packer took the body {shown(body)}, and could not read it as JSON.",
            rule="RabbitMQ carries bytes and looks into none of them; what they mean is an agreement between producer and consumer.",
            look="Lesson 1.4, 'Send orders that a program can read'; ./lab hint 1/ex_01",
        )
        order = json.loads(body)
        assert isinstance(order, dict), feedback(
            saw=f"The packer read the body {shown(body)} as JSON, and got a {type(order).__name__} in place of an order's dictionary.",
            rule="What is encoded once is decoded once: a text that holds JSON is, as JSON, a text.",
            look="Lesson 1.4, 'Send orders that a program can read'; ./lab hint 1/ex_01",
        )
        assert order in ORDERS, feedback(
            saw=f"The packer read the body {shown(body)}; that is none of the orders that the till was given.",
            rule="A body is what the packer gets, whole and as it is; nothing is added to it and nothing taken away.",
            look="The dictionary that you encode, and the one that you were given",
        )


def test_the_orders_stay_in_line(attempt, answer):
    send(attempt, answer)

    customers = [json.loads(body)["customer"] for body, _ in attempt.take("orders")]
    assert customers == [order["customer"] for order in ORDERS], feedback(
        saw=f"{CALLED}, Ada's first; the packer took them in this order: {', '.join(customers)}.",
        rule="A queue hands its messages out in the order in which they were published.",
        look="The order in which your loop goes through the list",
    )


def test_orders_that_wait_are_still_there(attempt, answer):
    attempt.declare("orders")
    attempt.publish("orders", *WAITING)

    send(attempt, answer)

    customers = [json.loads(body)["customer"] for body, _ in attempt.take("orders")]
    lost = [order["customer"] for order in WAITING if order["customer"] not in customers]
    assert not lost, feedback(
        saw=f"Two orders were waiting in `orders` when send_orders began; afterwards {' and '.join(lost)}'s "
        f"{'was' if len(lost) == 1 else 'were'} gone.",
        rule="To declare a queue that is there, as it is, changes nothing; to delete or purge it throws away what waits in it.",
        look="Lesson 1.4, 'Ask for the queue twice'; ./lab hint 1/ex_01",
    )


def test_a_second_call_sends_its_own_orders(attempt, answer):
    first, second = ORDERS[:2], ORDERS[2:]
    answer.run(lambda mine: [mine.send_orders(attempt.parameters(), list(orders)) for orders in (first, second)])

    held = attempt.depth("orders")
    assert held == len(ORDERS), feedback(
        saw=f"In one program we called send_orders with two orders, and then with another one; `orders` holds {held} messages.",
        rule="A till runs all day: what one call leaves in a variable outside of the function is still there in the next.",
        look="Variables of your file that more than one call uses; ./lab hint 1/ex_01",
    )


def test_it_says_how_many_were_sent(attempt, answer):
    attempt.declare("orders")
    attempt.publish("orders", *WAITING)

    said = send(attempt, answer)
    assert said == len(ORDERS), feedback(
        saw=f"Two orders were waiting; we called send_orders with three more, and it returned {said!r}.",
        rule="A function without return returns None."
        if said is None
        else "What a queue holds is the work of every till and every packer; what this call sent, the call alone knows.",
        look="The docstring, under 'Returns'",
    )


def test_a_refused_order_does_not_count_as_sent(attempt, answer):
    from pika.exceptions import AMQPError

    attempt.declare("orders")
    attempt.policy("orders", max_length=2, overflow="reject-publish")

    run = answer.run(lambda mine: mine.send_orders(attempt.parameters(), ORDERS), raises=(AMQPError,))
    held = attempt.depth("orders")
    saw = f"We let RabbitMQ refuse what does not fit, with room for two of three orders: `orders` holds {held}, and "
    assert run.error or run.value != held, feedback(
        saw=f"{saw}send_orders returned {run.value!r}; no exception came out.",
        rule="A number looks like any other number: from it alone the caller cannot know that an order was refused, nor why.",
        look="The docstring of your file: let pika's exception through",
    )
    assert run.error, feedback(
        saw=f"{saw}send_orders returned {run.value!r} as if all were well.",
        rule="A refusal reaches the producer as a receipt; one that asks for none, or passes over it, has nothing to tell its caller.",
        look="Lesson 1.2, 'The producer gets a receipt'; ./lab hint 1/ex_01",
    )


def test_no_connection_is_left_open(attempt, answer):
    from pika.exceptions import AMQPError

    def send_and_look(mine):
        mine.send_orders(attempt.parameters(), ORDERS)
        return attempt.left_open()

    left = answer.run(send_and_look).value
    assert left == 0, feedback(
        saw=f"send_orders had returned, the program was still running, and {left} connection{'s' * (left != 1)} of it stayed open.",
        rule="A connection is open until it is closed or its program ends; each one costs RabbitMQ memory, and their number is limited.",
        look="Lesson 1.1, 'Put the order down': what ends the connection there?",
    )

    def be_refused_and_look(mine):
        with contextlib.suppress(AMQPError):
            mine.send_orders(attempt.parameters(), ORDERS)
        return attempt.left_open()

    attempt.policy("orders", max_length=2, overflow="reject-publish")
    left = answer.run(be_refused_and_look).value
    assert left == 0, feedback(
        saw=f"RabbitMQ refused an order, and the exception came out of send_orders; the program went on, and {left} "
        f"connection{'s' * (left != 1)} of it stayed open.",
        rule="An exception leaves a function at once: the lines below are not run, and a connection that they would close stays open.",
        look="Lesson 1.1, 'Put the order down': what ends the connection there?",
    )


def is_json(body):
    """True when the bytes can be read as JSON."""
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def shown(body):
    """The body as Python writes it, and not too long."""
    text = repr(body)
    return f"`{text if len(text) <= 80 else text[:80] + ' ...'}`"
