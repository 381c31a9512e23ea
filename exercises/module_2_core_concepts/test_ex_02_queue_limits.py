"""Exercise 2.2: queues with limits, for Black Friday."""

import contextlib
import json
import time

import pika
from pika.exceptions import AMQPConnectionError, AMQPError, ChannelClosedByBroker, NackError

from rabbitlab import stalls
from rabbitlab.grading import feedback

ROOM = {"most_views": 3, "most_orders": 4, "offer_seconds": 60}
OFFER = 0.8  # seconds that an offer is good, where we wait for its end
EARLY = 0.03  # seconds: RabbitMQ counts whole milliseconds, and so do we
LATE = 4  # seconds after which an offer should be gone, on a machine with much else to do
TRIES = 5  # offers, until one is looked at in time
LITTLE_LATE = 2  # orders that a quorum queue may take above its limit
LESSON = "Lesson 2.3, 'A full queue has two ways to go on'"
LIFETIME = "Lesson 2.3, 'A weight that nobody has read in time'"


def test_the_newest_views_stay(attempt, answer):
    open_shop(attempt, answer)
    taken = put(attempt, "views", *range(1, 8))

    held = numbers(attempt, "views")
    saw = f"most_views was 3, and seven views came. RabbitMQ took {told([n for n, yes in zip(range(1, 8), taken, strict=True) if yes])}"
    assert all(taken), feedback(
        saw=f"{saw} and refused the others; `views` holds {told(held)}.",
        rule="A full queue may drop what is oldest, or refuse what is newest; which of the two, its arguments say.",
        look=f"{LESSON}; ./lab hint 2/ex_02",
    )
    assert held, feedback(
        saw=f"{saw}, and `views` holds none of them.",
        rule="A limit that counts bytes, or milliseconds, is met at another moment than one that counts messages.",
        look=LESSON,
    )
    assert len(held) == 3, feedback(
        saw=f"{saw}, and `views` holds {told(held)}.",
        rule="A queue has no limit unless it is given one. An argument whose name RabbitMQ does not know is taken, and does nothing.",
        look=f"{LESSON}; the names of your arguments, letter by letter",
    )
    assert held == [5, 6, 7], feedback(
        saw=f"{saw}, and `views` holds {told(held)}.",
        rule="With drop-head a full queue drops the message at its head, which is the oldest.",
        look=LESSON,
    )


def test_an_order_too_many_is_refused(attempt, answer):
    open_shop(attempt, answer)
    taken = put(attempt, "orders", *range(1, 11))

    held = numbers(attempt, "orders")
    accepted = [n for n, yes in zip(range(1, 11), taken, strict=True) if yes]
    saw = f"most_orders was 4, and ten orders came. RabbitMQ said yes to {told(accepted)}, and `orders` holds {told(held)}."
    assert set(accepted) <= set(held), feedback(
        saw=saw,
        rule="Where nothing else was said, or something that this kind of queue does not follow, a full queue takes every message, "
        "confirms it, and drops its oldest one for it. Nobody is told.",
        look=f"{LESSON}; ./lab hint 2/ex_02",
    )
    assert len(held) < 10, feedback(
        saw=saw,
        rule="A queue has no limit unless it is given one; RabbitMQ takes what comes until its memory or its disk is full.",
        look=LESSON,
    )
    assert 4 <= len(held) <= 4 + LITTLE_LATE, feedback(
        saw=saw,
        rule="A queue's limit counts the messages that are ready. Each queue has its own.",
        look="The docstring of your file; which number goes to which queue",
    )


def test_an_order_that_was_taken_is_on_more_than_one_node(attempt, answer):
    open_shop(attempt, answer)

    kind = attempt.queue("orders")["type"]
    assert kind == "quorum", feedback(
        saw=f"RabbitMQ lists `orders` as a {kind} queue.",
        rule="A classic queue is on one node, and what is in it is away as long as that node is. A quorum queue is on three.",
        look="Lesson 2.3, 'Three kinds, side by side'",
    )


def test_an_offer_is_good_for_its_time(attempt, answer):
    open_shop(attempt, answer, offer_seconds=OFFER)
    put(attempt, "views", 1)
    put(attempt, "orders", 1)
    for _ in range(TRIES):
        came = time.monotonic()
        put(attempt, "offers", 1)
        waited, gone = wait_for_the_end(attempt)
        if waited or not gone or gone - came < OFFER - EARLY:
            break  # otherwise we looked so late that an offer of any age would have been gone

    saw = f"offer_seconds was {OFFER}."
    assert attempt.exists("offers"), feedback(
        saw=f"{saw} An offer came, and after that time there was no queue `offers` any more.",
        rule="Of messages and of queues RabbitMQ knows a lifetime each. A queue that has expired is deleted, whoever publishes to it.",
        look=f"The name of your argument; {LIFETIME}",
    )
    assert gone, feedback(
        saw=f"{saw} An offer came, and {LATE} s later it was still in its queue.",
        rule="A message waits for ever unless it, or its queue, has a lifetime; the lifetime is in milliseconds.",
        look=f"{LIFETIME}; ./lab hint 2/ex_02",
    )
    assert gone - came >= OFFER - EARLY, feedback(
        saw=f"{saw} An offer came, and after {gone - came:.2f} s it was gone.",
        rule="A lifetime is a whole number of milliseconds. With one of nought a message is gone unless a consumer waits for it.",
        look="What your program makes of offer_seconds",
    )
    if emptied(attempt):
        attempt.comes_true(lambda: len(emptied(attempt)) == 2, within=1)  # a quorum queue is a little later
    away = emptied(attempt)
    assert not away, feedback(
        saw=f"{saw} A view, an order and an offer came; when the offer was gone, there was nothing in {' nor in '.join(away)} either.",
        rule="An argument holds for the queue that it is declared with.",
        look="Which of your queues has a lifetime",
    )


def test_no_queue_has_a_limit_of_another(attempt, answer):
    open_shop(attempt, answer)
    taken = put(attempt, "offers", *range(1, 21))

    held = numbers(attempt, "offers")
    assert held == list(range(1, 21)), feedback(
        saw=f"Twenty offers came, RabbitMQ took {sum(taken)} of them, and `offers` holds {len(held)}.",
        rule="A limit holds for the queue that it is declared with. A queue that has none takes what comes.",
        look="The docstring of your file; the arguments of `offers`",
    )


def test_opening_again_keeps_what_waits(attempt, answer):
    open_shop(attempt, answer)
    for queue in ("views", "orders", "offers"):
        put(attempt, queue, 1)
    open_shop(attempt, answer)

    lost = [queue for queue in ("views", "orders", "offers") if attempt.depth(queue) != 1]
    assert not lost, feedback(
        saw=f"A message was waiting in each queue when open_black_friday() was called again, with the same numbers. Then it was gone from "
        f"{' and from '.join(lost)}.",
        rule="To declare a queue that is there, as it is, changes nothing; to delete it throws away what waits in it.",
        look="Which line of your program deletes or purges something",
    )


def test_another_limit_is_refused_and_nothing_is_lost(attempt, answer):
    for queue, other in (("views", {"most_views": 5}), ("orders", {"most_orders": 9}), ("offers", {"offer_seconds": 2})):
        attempt.wipe()
        open_shop(attempt, answer)
        for name in ("views", "orders", "offers"):
            put(attempt, name, 1)
        run = answer.run(lambda mine, other=other: open_and_look(mine, attempt, {**ROOM, **other}), raises=(AMQPError,))

        argument, value = next(iter(other.items()))
        saw = (
            "The three queues were there, with a message in each; then open_black_friday() was called with another number, "
            f"{argument}={value}."
        )
        lost = [name for name in ("views", "orders", "offers") if not attempt.exists(name) or attempt.depth(name) != 1]
        assert not lost, feedback(
            saw=f"{saw} Afterwards the message was gone from {' and from '.join(lost)}.",
            rule="A queue that is deleted takes its messages with it, and whoever had been told that they were safe is not told otherwise.",
            look="The docstring of your file: what is to become of a queue that is there with another limit?",
        )
        error, left = run.value
        assert error, feedback(
            saw=f"{saw} It returned as if all were well, and `{queue}` has its old limit.",
            rule="What a queue was declared with holds for its life; who declares it with other arguments is refused with 406.",
            look="The docstring of your file; what catches exceptions in your program, or asks first whether the queue is there",
        )
        assert left == 0, feedback(
            saw=f"{saw} {error} came out of it; the program went on, and {left} connection{'s' * (left != 1)} of it stayed open.",
            rule="A 406 closes the channel, and not the connection. An exception leaves a function at once: lines below are not run.",
            look="Lesson 1.1, 'Put the order down': what ends the connection there?",
        )


def test_the_till_hears_of_each_refusal(attempt, answer):
    open_shop_ourselves(attempt)

    refused, left = answer.run(lambda mine: (mine.take_orders(attempt.parameters(), one_by_one(attempt)), attempt.left_open())).value

    bodies = [body for body, _ in attempt.take("orders")]
    held = [number_of(body) for body in bodies]
    saw = f"Ten orders came to take_orders(), and the queue had room for four. `orders` holds {told(held)}"
    assert held, feedback(
        saw=f"{saw}; take_orders returned {shown(refused)}.",
        rule="The default exchange passes a message to the queue whose name is the routing key; where none has it, the message is dropped, "
        "and confirmed all the same.",
        look="Lesson 1.4, 'Misspell a queue'",
    )
    assert None not in held, feedback(
        saw=f"The body of a message in `orders` is {bodies[held.index(None) if None in held else 0][:60]!r}.",
        rule="RabbitMQ carries bytes and never reads them; what they mean is between producer and consumer.",
        look="Lesson 1.4, 'Send orders that a program can read'",
    )
    assert isinstance(refused, list), feedback(
        saw=f"{saw}; take_orders returned {shown(refused)}.",
        rule="A refusal is told to the publisher, and to nobody else. Who else wants to know must be told by it.",
        look="Returns: in the docstring of your file",
    )
    expected = [{"id": n} for n in range(1, 11) if n not in held]
    missing = told([order["id"] for order in expected if order not in refused])
    assert refused or not expected, feedback(
        saw=f"{saw}; take_orders returned {shown(refused)}. Of {missing} nobody knows.",
        rule="Without a receipt a publisher cannot tell an order that was refused from one that was taken. A receipt is asked for once, "
        "on the channel, before anything is published.",
        look="Lesson 1.2, 'The producer gets a receipt'; ./lab hint 2/ex_02",
    )
    assert refused != [{"id": n} for n in held], feedback(
        saw=f"{saw}; take_orders returned {shown(refused)}, which are the same. Of {missing} nobody knows.",
        rule="A receipt says yes or no. Who hears yes is served, and asks no more; who hears no has to be told by somebody.",
        look="Returns: in the docstring of your file; which orders your program writes down",
    )
    assert refused == expected or refused != expected[: len(refused)], feedback(
        saw=f"{saw}; take_orders returned {shown(refused)}. Of {missing} nobody knows.",
        rule="A refusal is the answer to one order, and leaves the channel as it was: the next order gets an answer of its own.",
        look="What your program does after a refusal; ./lab hint 2/ex_02",
    )
    assert refused == expected, feedback(
        saw=f"{saw}; take_orders returned {shown(refused)}.",
        rule="An order that RabbitMQ has taken will be packed, and one that it has refused will not; there is no third kind.",
        look="Which orders your program writes down, and when",
    )
    assert left == 0, feedback(
        saw=f"take_orders() had returned, the program was still running, and {left} connection{'s' * (left != 1)} of it stayed open.",
        rule="A connection is open until it is closed or its program ends.",
        look="Lesson 1.1, 'Put the order down': what ends the connection there?",
    )


def test_the_till_goes_on_when_there_is_room_again(attempt, answer):
    open_shop_ourselves(attempt)
    found = []

    def with_a_packer():
        for order in orders(1, 10):
            if order["id"] == 9:
                found.append(make_room(attempt))
            yield order

    refused, found = answer.run(lambda mine: (mine.take_orders(attempt.parameters(), with_a_packer()), found)).value

    assert found != [0], feedback(
        saw="Ten orders came to take_orders(), and before order 9 a packer looked into `orders`: none of the first eight was there.",
        rule="An iterable hands out one thing when it is asked for one. Who makes a list of it has asked for all, and a customer who is to "
        "hear yes or no cannot come after one who has not come yet.",
        look="take_orders, in the docstring of your file; what your program does with `orders` before it publishes",
    )
    held = numbers(attempt, "orders")
    tried_again = [n for n in held if n in range(5 + LITTLE_LATE, 9)]
    saw = (
        "Ten orders came to take_orders(); the queue had room for four, and before order 9 a packer took all that were there. "
        f"take_orders returned {shown(refused)}, and then `orders` held {told(held)}."
    )
    assert not tried_again, feedback(
        saw=f"{saw} {told(tried_again).capitalize()} had been refused before, and came when there was room.",
        rule="A message that was refused is the publisher's again, and what becomes of it is for the publisher to say.",
        look="take_orders, in the docstring of your file: what is to become of an order that was refused?",
    )
    assert held == [9, 10], feedback(
        saw=saw,
        rule="A refusal says that there was no room at one moment, and leaves the channel as it was.",
        look="What your program does after a refusal; ./lab hint 2/ex_02",
    )


def test_a_lost_connection_is_no_refusal(attempt, answer):
    open_shop_ourselves(attempt)

    def with_an_accident():
        for order in orders(1, 3):
            if order["id"] == 2:
                attempt.close_connections(at_least=1)
            yield order

    run = answer.run(lambda mine: mine.take_orders(attempt.parameters(), with_an_accident()), raises=(AMQPConnectionError,))

    assert run.error, feedback(
        saw=f"Before order 2 RabbitMQ closed the connection; take_orders returned {shown(run.value)}, without an exception.",
        rule="A refusal is an answer. A lost connection is none: of what was under way nobody knows whether RabbitMQ has it.",
        look="take_orders, in the docstring of your file; which exceptions your program catches",
    )


def open_shop(attempt, answer, **other) -> None:
    """Let the learner's program declare its queues, and end; then all three have to be there."""
    answer.run(lambda mine: mine.open_black_friday(attempt.parameters(), **{**ROOM, **other}))
    there = [queue["name"] for queue in attempt.queues()]
    missing = [name for name in ("views", "orders", "offers") if name not in there]
    assert not missing, feedback(
        saw=f"open_black_friday() has returned and your program has ended. There is no queue {' and no queue '.join(missing)}; "
        f"there {'are ' + ', '.join(there) if there else 'is none at all'}.",
        rule="A queue is there from its declaration until it is deleted, or the connection that it was exclusive to is closed, or a "
        "lifetime of its own is over. A lifetime of its messages is another thing.",
        look="The names and the arguments in your queue_declare",
    )


def open_and_look(mine, attempt, room: dict) -> tuple[str, int]:
    """Let the answer declare its queues: the name of the exception that came out of it, and how many connections are open then."""
    error = ""
    try:
        mine.open_black_friday(attempt.parameters(), **room)
    except ChannelClosedByBroker as refusal:
        error = f"{type(refusal).__name__} {refusal.reply_code}"
    return error, attempt.left_open()


def open_shop_ourselves(attempt) -> None:
    """Declare ``orders`` as the brief says, for the checks of take_orders()."""
    arguments = {"x-queue-type": "quorum", "x-max-length": 4, "x-overflow": "reject-publish"}
    attempt.declare("orders", arguments=arguments)


def make_room(attempt) -> int:
    """Take all that is ready in ``orders``, and wait until there is room indeed: how many were taken."""
    taken = len(attempt.take("orders"))
    with contextlib.suppress(TimeoutError):
        attempt.wait_until(lambda: attempt.depth("orders") == 0 and attempt.queue("orders")["messages"] == 0, within=5)
    return taken


def orders(first: int, last: int):
    """One order after the other."""
    for number in range(first, last + 1):
        yield {"id": number}


def one_by_one(attempt):
    """Ten orders, the sixth of which comes when the queue is known to be full: before that, a flood of unconfirmed ones would get in."""
    for order in orders(1, 10):
        if order["id"] == 6:
            with contextlib.suppress(TimeoutError):
                attempt.wait_until(lambda: attempt.depth("orders") >= 4, within=2)
        yield order


def put(attempt, queue: str, *numbers: int) -> list[bool]:
    """Publish these numbers to *queue*: whether RabbitMQ took each of them."""
    taken = []
    with pika.BlockingConnection(attempt.parameters()) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for number in numbers:
            try:
                channel.basic_publish(exchange="", routing_key=queue, body=json.dumps({"id": number}))
                taken.append(True)
            except NackError:
                taken.append(False)
    return taken


def numbers(attempt, queue: str) -> list:
    """The numbers that are ready in *queue*."""
    return [number_of(body) for body, _ in attempt.take(queue)]


def number_of(body: bytes):
    """The number of an order; None where the body is none."""
    try:
        order = json.loads(body)
    except ValueError:
        return None
    return order["id"] if isinstance(order, dict) and set(order) == {"id"} else None


def wait_for_the_end(attempt) -> tuple[bool, float | None]:
    """Whether the offer was seen, and when it was seen to be gone, None where it stays. Nothing here counts as a use of the queue."""
    waited, began = False, stalls.clock()
    while True:
        is_last = stalls.clock() - began > LATE  # one more look: the last one may be old by now
        found = [queue for queue in attempt.queues() if queue["name"] == "offers"]
        if not found:
            return waited, time.monotonic()
        ready = found[0]["messages_ready"] if found[0]["type"] == "classic" else attempt.depth("offers")
        if ready == 0:
            return waited, time.monotonic()
        if is_last:
            return waited, None
        waited = True
        time.sleep(0.02)


def emptied(attempt) -> list[str]:
    """Which of the other two queues have nothing any more, or are not there."""
    return [queue for queue in ("views", "orders") if not (attempt.exists(queue) and attempt.depth(queue))]


def told(found: list) -> str:
    """Numbers in words: "1, 2, 3"."""
    return ", ".join(str(n) for n in found) or "none of them"


def shown(value) -> str:
    """A value as Python writes it, and not too long."""
    text = repr(value)
    return text if len(text) <= 120 else text[:120] + " ..."
