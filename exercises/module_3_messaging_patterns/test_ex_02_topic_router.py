"""Exercise 3.2: the topic router."""

import json

import pika
from pika.exceptions import AMQPError, NackError, UnroutableError

from rabbitlab.grading import feedback, management
from rabbitlab.grading.again import again_after_a_stall

CLASSIC = {"x-queue-type": "classic"}
HINT = "./lab hint 3/ex_02"
WORDS = (("de", "fr", "it"), ("placed", "paid", "shipped", "cancelled"))  # the countries and the events that are known
PATIENCE = 10  # seconds for three orders and the silence after them
STUMBLES = (ValueError, TypeError, AttributeError, LookupError)  # what Python says to a body that is not what it was taken for
MANY = 300  # orders, so that the router is at work when it is killed
SOME = 20  # orders, after which it is killed
IDLE = 1.5  # seconds of silence after which a router may go: long for a broker that has something to send
IN_HAND = 5  # orders that may be there twice after that: one is under way, and some receipts may be lost on the wire


@again_after_a_stall(IDLE)
def test_each_order_gets_its_key(attempt, answer):
    open_shop(attempt, everything=("#",), paid=("order.*.paid",), germany=("order.de.#",))
    given = [order(1, "de", "placed"), order(2, "fr", "paid"), order(3, "de", "paid"), order(4, "it", "cancelled")]
    hand_in(attempt, *given)

    seen = answer.run(lambda mine: work(mine, attempt)).value

    arrived = taken(attempt, "everything")
    saw = "Four orders were in `orders.raw`, and your function has returned."
    assert arrived, feedback(
        saw=f"{saw} A queue that is bound to `happened` with `#` has got none of them; {attempt.state()}.",
        rule="A message reaches a queue by the exchange to which it is published, and by no other.",
        look=f"What your basic_publish names as its exchange; {HINT}",
    )
    judge_keys(given, arrived, saw, look="The docstring of your file, where it speaks of the key; lesson 3.4")
    wrong_way = [name for name, count in (("paid", 2), ("germany", 2)) if attempt.depth(name) != count]
    assert not wrong_way, feedback(
        saw=f"{saw} All have the right key, and `{wrong_way and wrong_way[0]}` holds {attempt.depth((wrong_way or ['paid'])[0])} of them.",
        rule="An exchange puts one copy of each message into each queue that has a binding that fits.",
        look="What your program declares, binds or takes beside what it was told to",
    )
    assert [number(body) for _, body, _ in arrived] == [1, 2, 3, 4], feedback(
        saw=f"{saw} They came out in the sequence {told(arrived)}.",
        rule="A queue gives its messages in the sequence in which they came, and takes them so.",
        look="The loop in your program, and what else goes through it",
    )
    left = attempt.depth("orders.raw")
    assert left == 0, feedback(
        saw=f"{saw} All four were published, and `orders.raw` still has {left} of them, to be published again.",
        rule="A message stays in its queue until it is acknowledged. What was delivered and not acknowledged is ready again when the "
        "connection ends.",
        look=f"Lesson 1.2, 'Sign for it'; {HINT}",
    )
    assert seen["returned"] == 4, feedback(
        saw=f"{saw} Four orders were published and acknowledged, and route_orders returned {seen['returned']!r}.",
        rule="RabbitMQ does not report how much a program has done; who wants to know must count.",
        look="Returns: in the docstring of your file",
    )


@again_after_a_stall(IDLE)
def test_words_that_nobody_knows(attempt, answer):
    open_shop(attempt, everything=("#",))
    odd = [
        order(1, "DE", "Placed"),
        order(2, " fr ", "paid"),
        order(3, "u.k.", "paid"),
        order(4, "es", "paid"),
        order(5, "", "paid"),
        order(6, "it", "re.turned"),
        {"id": 7, "event": "paid"},
        {"id": 8, "country": "de"},
        order(9, None, "paid"),
        order(10, 49, ["paid"]),
        order(11, "*", "#"),
        order(12, ["de"], {"paid": True}),
        order(13, "d", "aid"),
        order(14, "d.e.", "paid"),
        order(15, "it", "place d"),
    ]
    hand_in(attempt, *odd)

    run = answer.run(lambda mine: work(mine, attempt), raises=STUMBLES)

    arrived = taken(attempt, "everything")
    assert not run.error, feedback(
        saw=f"Orders with odd countries and events were in `orders.raw`. At {written(odd, len(arrived))} your program stopped with "
        f"{type(run.error).__name__}, and everything behind it waits.",
        rule="RabbitMQ carries what a producer has written, whatever that is. What cannot be worked on is given to the next program that "
        "asks, again and again.",
        look="The docstring of your file: 'whatever it is'; lesson 3.4, 'Words that come from outside'",
    )
    judge_keys(
        odd,
        arrived,
        "Orders with odd countries and events were in `orders.raw`.",
        look="Lesson 3.4, 'Words that come from outside'; the docstring of your file, from 'The two words' on",
    )


@again_after_a_stall(IDLE)
def test_a_body_that_is_no_order(attempt, answer):
    open_shop(attempt, everything=("#",))
    bodies = [b"no order", b"\xff\xfe\xfd", b"", b"[1, 2]", b'"de"', b"null", b"17", as_body(order(8, "de", "paid"))]
    hand_in(attempt, *bodies)

    run = answer.run(lambda mine: work(mine, attempt), raises=STUMBLES)

    arrived = taken(attempt, "everything")
    assert not run.error, feedback(
        saw=f"Eight messages were in `orders.raw`, seven of them no orders. At the body {bodies[min(len(arrived), 7)]!r} your program "
        f"stopped with {type(run.error).__name__}, and everything behind it waits.",
        rule="A queue holds bytes. One message that no program can read stops all that come after it, unless somebody does something "
        "with it.",
        look=f"The docstring of your file, where it speaks of a body that is no JSON object; {HINT}",
    )
    missing = [body for body in bodies if body not in [body for _, body, _ in arrived]]
    assert not missing, feedback(
        saw=f"Eight messages were in `orders.raw`, and your function has returned. The body {missing and missing[0]!r} came out nowhere; "
        f"in `orders.raw` there are {attempt.depth('orders.raw')}.",
        rule="What was acknowledged, or rejected for good, is gone; that nobody can read it today does not mean that nobody will miss it.",
        look="The docstring of your file, where it speaks of a body that is no JSON object",
    )
    judge_keys(
        bodies, arrived, "Eight messages were in `orders.raw`, seven of them no orders.", look="The docstring of your file; lesson 3.4"
    )


@again_after_a_stall(IDLE)
def test_an_order_arrives_as_it_came(attempt, answer):
    open_shop(attempt, everything=("#",))
    body = '{ "event":"paid", "id":1,\n  "country":"de", "customer":"Zoë" }'.encode()
    properties = pika.BasicProperties(
        message_id="order-1",
        content_type="application/json",
        headers={"till": 3, "gift": True},
        correlation_id="basket-9",
        type="order",
        delivery_mode=2,
        timestamp=1_700_000_000,
    )
    hand_in(attempt, body, properties=properties)

    answer.run(lambda mine: work(mine, attempt))

    arrived = taken(attempt, "everything")
    assert len(arrived) == 1, feedback(
        saw=f"One order was in `orders.raw`; {len(arrived)} came out.",
        rule="Each publish is a message, and each acknowledgement takes one away.",
        look="The loop in your program",
    )
    _, got, had = arrived[0]
    assert got == body, feedback(
        saw=f"The body of an order was {body!r}, and it came out as {got!r}.",
        rule="Body and key are separate parts of a message. A key is made by reading the body; the body need not be touched for it, and "
        "what somebody has signed or hashed is then still the same.",
        look="What your basic_publish gives as its body",
    )
    lost = [name for name in vars(properties) if getattr(properties, name) is not None and getattr(had, name, None) is None]
    assert not lost, feedback(
        saw=f"An order had a {lost and lost[0]}; it came out without.",
        rule="Properties are given with each publish. A program that publishes what it has read has to say again what stands outside.",
        look="Lesson 2.5; what your basic_publish gives as its properties",
    )
    changed = [name for name in vars(properties) if getattr(properties, name) not in (None, getattr(had, name, None))]
    assert not changed, feedback(
        saw=f"An order had the {changed and changed[0]} {getattr(properties, (changed or ['type'])[0])!r}; it came out with "
        f"{getattr(had, (changed or ['type'])[0], None)!r}.",
        rule="What stands on the outside of a message is for programs further on, which know nothing of the router.",
        look="Lesson 2.5; what your basic_publish gives as its properties",
    )


def test_it_ends_and_leaves_nothing_open(attempt, answer):
    open_shop(attempt, everything=("#",))

    seen = answer.run(lambda mine: work(mine, attempt)).value

    assert seen["returned"] == 0, feedback(
        saw=f"`orders.raw` was empty, and route_orders returned {seen['returned']!r}.",
        rule="A queue does not say that nothing will come; a program that waits long enough decides it.",
        look="Returns: in the docstring of your file",
    )
    assert seen["open"] == 0, feedback(
        saw=f"`orders.raw` was empty. When route_orders had returned, {connections(seen['open'])} of yours still open.",
        rule="A connection stays open, with all that it holds, until somebody closes it or the process ends.",
        look="Lesson 1.5; how your function ends, and how it ends when nothing comes",
    )


@again_after_a_stall(IDLE)
def test_a_refused_order_stays(attempt, answer):
    open_shop(attempt, france=("order.fr.#",), italy=("order.it.#",))
    attempt.declare("full", arguments={**CLASSIC, "x-max-length": 1, "x-overflow": "reject-publish"})
    bind(attempt, "full", "order.de.#")
    attempt.publish("full", "no room")
    hand_in(attempt, order(1, "fr", "paid"), order(2, "de", "paid"), order(3, "it", "paid"))

    what = "the queue for German orders was full and refused order 2"
    judge_the_end(attempt, until_it_ends(attempt, answer, what), what, NackError)


@again_after_a_stall(IDLE)
def test_an_order_that_nobody_asked_for_stays(attempt, answer):
    open_shop(attempt, france=("order.fr.#",), italy=("order.it.#",))
    hand_in(attempt, order(1, "fr", "paid"), order(2, "de", "paid"), order(3, "it", "paid"))

    what = "no queue was bound for German orders, such as order 2"
    judge_the_end(attempt, until_it_ends(attempt, answer, what), what, UnroutableError)


@again_after_a_stall(IDLE)
def test_a_killed_router_loses_nothing(attempt, answer):
    open_shop(attempt, everything=("#",))
    hand_in(attempt, *[order(n, "de", "paid") for n in range(1, MANY + 1)])

    running = answer.start(lambda mine: work(mine, attempt), within=120)
    attempt.wait_until(lambda: attempt.depth("everything") >= SOME, within=60, what=f"{SOME} of {MANY} orders to be published")
    running.kill()
    attempt.comes_true(lambda: attempt.queue("orders.raw").get("messages_unacknowledged", 0) == 0, within=30)

    published = [number(body) for _, body, _ in taken(attempt, "everything")]
    waiting = [number(body) for _, body, _ in taken(attempt, "orders.raw")]
    saw = (
        f"{MANY} orders were in `orders.raw`. When {SOME} of them and some more had been published, we killed your program, as a power "
        f"cut would. {len(published)} had come out by then, and {len(waiting)} were ready in `orders.raw`."
    )
    lost = MANY - len({*published, *waiting})
    assert not lost, feedback(
        saw=f"{saw} {lost} are in no queue.",
        rule="RabbitMQ forgets a message when it is acknowledged; with automatic acknowledgement that is the moment when it is sent, and "
        "it sends ahead.",
        look=f"Lesson 1.4, 'Take them until none is left', at its end; {HINT}",
    )
    twice = len({*published} & {*waiting})
    assert twice <= IN_HAND, feedback(
        saw=f"{saw} {twice} of them are in both places, and will be published a second time.",
        rule="What is published and not yet acknowledged when a program dies is published again by the next one. One order may be in that "
        "state, if each is acknowledged before the next.",
        look=f"The docstring of your file, where it says when to acknowledge; {HINT}",
    )


def work(mine, attempt) -> dict:
    """Let the answer route what there is: what it returned, and how many of its connections are open then."""
    returned = mine.route_orders(attempt.parameters(), idle=IDLE)
    return {"returned": returned, "open": attempt.left_open()}


def until_it_raises(mine, attempt) -> dict:
    """The same where an exception of pika's is due: its name in place of what was returned."""
    error = None
    returned = None
    try:
        returned = mine.route_orders(attempt.parameters(), idle=IDLE)
    except AMQPError as raised:
        error = type(raised).__name__
    return {"returned": returned, "error": error, "open": attempt.left_open()}


def until_it_ends(attempt, answer, what: str) -> dict:
    """Let the answer route three orders, of which number 2 has no place to go, and see to it that it comes to an end."""
    running = answer.start(lambda mine: until_it_raises(mine, attempt), within=PATIENCE * 2)
    ended = attempt.comes_true(lambda: not running.alive, within=PATIENCE)
    if not ended:
        running.kill()
    assert ended, feedback(
        saw=f"Three orders were in `orders.raw`, and {what}. After {PATIENCE} s route_orders had neither returned nor raised anything.",
        rule="What has no place has none at the next try, either, as long as nothing changes there. And what is given back to a queue "
        "comes again at once, in its old place: whoever goes on has it in hand again, and a loop that waits for a silence waits for ever.",
        look="What your program does after pika's exception, and how often; the docstring of your file, where it speaks of that exception",
    )
    return running.wait().value


def judge_the_end(attempt, seen: dict, what: str, due: type) -> None:
    """Orders 1, 2 and 3 were in ``orders.raw``, and number 2 had no place to go."""
    saw = f"Three orders were in `orders.raw`, and {what}. "
    saw += (
        f"route_orders raised {seen['error']}." if seen["error"] else f"route_orders returned {seen['returned']!r}, without an exception."
    )
    ready = {queue: [number(body) for _, body, _ in taken(attempt, queue)] for queue in ("orders.raw", "france", "italy")}
    confirm = "An acknowledgement takes a message out of the world, if no other queue has it. Whether one has it, a confirm says"
    rule, look = {
        NackError: (f"{confirm}, and nothing else does.", "Lesson 1.2, 'The producer gets a receipt'"),
        UnroutableError: (
            f"{confirm}; and a publish that was not told to insist is confirmed also when it leads nowhere.",
            "Lesson 2.4, 'Lose a question by one letter'",
        ),
    }[due]
    assert 2 in ready["orders.raw"], feedback(
        saw=f"{saw} Order 2 is in no queue.",
        rule=rule,
        look=f"{look}; what acknowledges an order in your program, and what it knows by then; {HINT}",
    )
    assert 1 not in ready["orders.raw"], feedback(
        saw=f"{saw} Order 1 was published, and is ready in `orders.raw` as well: it will be published a second time.",
        rule="When a connection ends, all that was not acknowledged on it is ready again, published or not.",
        look="The docstring of your file, where it says when to acknowledge",
    )
    assert seen["error"] == due.__name__, feedback(
        saw=f"{saw} In `orders.raw` there are the orders {ready['orders.raw']}.",
        rule="pika tells with an exception that RabbitMQ said no, or gave a message back. Whoever starts the router has to hear of it: a "
        "queue is full, or nobody has thought of a binding.",
        look="The docstring of your file, where it speaks of pika's exception; which exceptions your program catches",
    )
    assert (ready["orders.raw"], ready["italy"]) == ([2, 3], []), feedback(
        saw=f"{saw} Order 3 had come after order 2, and {'was published all the same' if ready['italy'] else 'is nowhere'}.",
        rule="Orders keep their sequence only if nothing overtakes what cannot go on.",
        look="The docstring of your file, where it says what ends the work",
    )
    assert seen["open"] == 0, feedback(
        saw=f"{saw} Then {connections(seen['open'])} of yours still open, and held what it had been sent.",
        rule="A message that was delivered belongs to its connection until that ends. Nobody else gets it meanwhile.",
        look="How your function ends when an exception passes through it",
    )


def open_shop(attempt, **queues: tuple) -> None:
    """``orders.raw``, the exchange, and a queue for each of *queues*, bound with these patterns."""
    attempt.declare("orders.raw", arguments=CLASSIC)
    management.call("PUT", "exchanges", attempt.vhost, "happened", body={"type": "topic", "durable": True})
    for queue, patterns in queues.items():
        attempt.declare(queue, arguments=CLASSIC)
        for pattern in patterns:
            bind(attempt, queue, pattern)


def bind(attempt, queue: str, pattern: str) -> None:
    management.call("POST", "bindings", attempt.vhost, "e", "happened", "q", queue, body={"routing_key": pattern})


def order(id: int, country, event) -> dict:
    return {"id": id, "country": country, "event": event}


def as_body(given) -> bytes:
    """Of an order, JSON; bytes as they are."""
    return given if isinstance(given, bytes) else json.dumps(given).encode()


def hand_in(attempt, *given, properties=None) -> None:
    """Put these into ``orders.raw``."""
    if properties is None:
        attempt.publish("orders.raw", *[as_body(each) for each in given])
        return
    with pika.BlockingConnection(attempt.parameters()) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for each in given:
            channel.basic_publish(exchange="", routing_key="orders.raw", body=as_body(each), properties=properties, mandatory=True)


def taken(attempt, queue: str) -> list[tuple]:
    """All that is ready in *queue*: (routing key, body, properties)."""
    found = []
    with pika.BlockingConnection(attempt.parameters()) as connection:
        channel = connection.channel()
        while True:
            method, properties, body = channel.basic_get(queue=queue, auto_ack=True)
            if method is None:
                return found
            found.append((method.routing_key, body, properties))


def judge_keys(given: list, arrived: list[tuple], saw: str, look: str) -> None:
    """Each of *given* has come out, and with its key; of those that have not, the first is told."""
    keys: dict[bytes, list[str]] = {}
    for key, body, _ in arrived:
        keys.setdefault(body if isinstance(given[0], bytes) else str(number(body)).encode(), []).append(key)
    for each in given:
        found = keys.get(each if isinstance(each, bytes) else str(each["id"]).encode(), [])
        shown = repr(each) if isinstance(each, bytes) else json.dumps(each)
        assert found, feedback(
            saw=f"{saw} The one that reads {shown} came out nowhere; {len(arrived)} of {len(given)} did.",
            rule="An acknowledged message is gone. What becomes of it is up to the program that has taken it.",
            look=look,
        )
        assert len(found) == 1, feedback(
            saw=f"{saw} The one that reads {shown} came out {len(found)} times.",
            rule="Each publish is a message.",
            look="The loop in your program",
        )
        assert found[0] == key_of(each), feedback(
            saw=f"{saw} The one that reads {shown} came out with the key {found[0]!r}.",
            rule="A key does not say that it was guessed. Whoever listens to a known word gets the order as if a till had written that "
            "word, and whoever listens to `other`, to look into such orders, does not."
            if mended(found[0], key_of(each))
            else "A topic exchange compares words, letter by letter and place by place; a pattern that expects another word, or another "
            "number of words, does not fit.",
            look=look,
        )


def mended(key: str, due: str) -> bool:
    """Whether the key has a known word where the order had something else."""
    found, asked = key.split(".")[1:], due.split(".")[1:]
    return len(found) == len(asked) and any(word in known and was == "other" for word, was, known in zip(found, asked, WORDS, strict=True))


def key_of(given) -> str:
    """The key that the docstring asks for."""
    found = given
    if isinstance(given, bytes):
        try:
            found = json.loads(given)
        except ValueError:
            found = None
    words = ["order"]
    for name, known in zip(("country", "event"), WORDS, strict=True):
        word = found.get(name) if isinstance(found, dict) else None
        word = word.strip().lower() if isinstance(word, str) else None
        words.append(word if word in known else "other")
    return ".".join(words)


def number(body: bytes):
    """The number of an order; None where the body is none."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found.get("id") if isinstance(found, dict) else None


def told(arrived: list[tuple]) -> str:
    return ", ".join(str(number(body)) for _, body, _ in arrived)


def written(given: list, position: int) -> str:
    return json.dumps(given[min(position, len(given) - 1)])


def connections(count: int) -> str:
    return "1 connection was" if count == 1 else f"{count} connections were"
