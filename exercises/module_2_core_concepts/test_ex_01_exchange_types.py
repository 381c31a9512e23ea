"""Exercise 2.1: four needs, four exchanges."""

from collections import Counter
from dataclasses import dataclass, field

import pika

from rabbitlab.grading import feedback

EXCHANGES = ("jobs", "notices", "orders", "parcels")
DESKS = ("desk.packing", "desk.returns", "desk.gifts")
QUEUES = (*DESKS, "orders.europe", "orders.placed", "orders.gifts", "parcels.air", "parcels.fragile")
BRIEF = "The docstring of your file"
TYPES = "Lesson 2.2, the table of types in 'The exchanges that were there before us'"


@dataclass(frozen=True)
class Probe:
    """A message that we publish, and the queues that the contract names for it.

    Attributes:
        exchange: Where it is published.
        to: The queues.
        key: Its routing key.
        headers: Its headers.
    """

    exchange: str
    to: tuple = ()
    key: str = ""
    headers: dict = field(default_factory=dict)

    def __str__(self) -> str:
        """The probe in words."""
        if self.exchange == "parcels":
            told = ", ".join(f"`{name}: {value}`" for name, value in self.headers.items())
            return f"A message with {f'the headers {told}' if told else 'no headers'}, published to `parcels`,"
        key = f"the routing key `{self.key}`" if self.key else "an empty routing key"
        return f"A message with {key}, published to `{self.exchange}`,"


JOBS = [
    Probe("jobs", ("desk.packing",), "packing"),
    Probe("jobs", ("desk.returns",), "returns"),
    Probe("jobs", ("desk.gifts",), "gifts"),
    Probe("jobs", (), "packing.now"),
    Probe("jobs", (), "*"),
]
NOTICES = [Probe("notices", DESKS, key) for key in ("", "notice", "packing", "europe.germany.placed")]
ORDERS = [
    Probe("orders", ("orders.europe", "orders.placed"), "europe.germany.placed"),
    Probe("orders", ("orders.europe",), "europe.france.cancelled"),
    Probe("orders", ("orders.placed",), "america.canada.placed"),
    Probe("orders", (), "asia.japan.cancelled"),
    Probe("orders", ("orders.europe", "orders.gifts"), "europe.italy.placed.gift"),
    Probe("orders", ("orders.gifts",), "america.brazil.placed.express.gift"),
    Probe("orders", ("orders.europe",), "europe.spain.islands.placed"),
    Probe("orders", (), "asia.europe.gift.cancelled"),
    Probe("orders", ("orders.gifts",), "gift"),
]
PARCELS = [
    Probe("parcels", ("parcels.air",), headers={"express": "yes", "size": "small"}),
    Probe("parcels", ("parcels.fragile",), headers={"glass": "yes"}),
    Probe("parcels", ("parcels.fragile",), headers={"antique": "yes", "size": "small"}),
    Probe("parcels", ("parcels.fragile",), headers={"antique": "yes", "glass": "yes"}),
    Probe("parcels", (), headers={"express": "yes"}),
    Probe("parcels", (), headers={"express": "yes", "size": "large"}),
    Probe("parcels", (), headers={"glass": "no"}),
    Probe("parcels", (), headers={}),
    Probe("parcels", ("parcels.air", "parcels.fragile"), headers={"express": "yes", "size": "small", "glass": "yes", "weight": "2"}),
]


def test_everything_is_there(attempt, answer):
    set_up(attempt, answer)

    there = attempt.exchanges()
    missing = [name for name in EXCHANGES if name not in there]
    look = f"{BRIEF}; lesson 2.2, 'A desk without an arrow gets nothing'; ./lab hint 2/ex_01"
    assert not missing, feedback(
        saw=f"set_up() has returned, and there is no exchange {named(missing)}; of yours there {named_or_none(there)}.",
        rule="An exchange is there once it is declared, in the virtual host of the connection, under exactly this name.",
        look=look if there else f"The parameters that your program connects with: are they those that it was given? {look}",
    )
    missing = not_there(attempt)
    assert not missing, feedback(
        saw=f"set_up() has returned and your program has ended; there is no queue {named(missing)}.",
        rule="A queue is there from its declaration until it is deleted, or until the connection it was exclusive to is closed.",
        look="The names in the docstring of your file, and the arguments of your queue_declare; ./lab hint 2/ex_01",
    )


def test_a_job_reaches_one_desk(attempt, answer):
    set_up(attempt, answer)

    judge(
        attempt,
        JOBS,
        rule="What an exchange does with the routing key is decided by its type: it compares the whole key, or its words, or does not "
        "look at it.",
        look=f"{TYPES}; the keys in your bindings; ./lab hint 2/ex_01",
    )


def test_a_notice_reaches_every_desk(attempt, answer):
    set_up(attempt, answer)

    judge(
        attempt,
        NOTICES,
        rule="Each queue that is to get a copy needs a binding of its own; whether the key has to fit that binding is decided by the type.",
        look=f"{TYPES}: which does not look at the key? ./lab hint 2/ex_01",
    )


def test_an_order_goes_by_the_words_of_its_key(attempt, answer):
    set_up(attempt, answer)

    judge(
        attempt,
        ORDERS,
        rule="For a topic exchange a key is words with dots between. In a binding's pattern `*` stands for one word, no more and no less, "
        "and `#` for any number, or none. To the other types both are letters like any.",
        look="Lesson 2.2, 'Topic: the key is a pattern'; your three patterns; ./lab hint 2/ex_01",
    )


def test_a_parcel_goes_by_its_headers(attempt, answer):
    set_up(attempt, answer)

    judge(
        attempt,
        PARCELS,
        rule="A binding of a headers exchange says in its arguments which headers it asks for, and in `x-match` whether all of them have "
        "to be there with these values, or one is enough. Where `x-match` is not given, all.",
        look="The brief, 'The headers exchange in three lines'; ./lab hint 2/ex_01",
    )


def test_it_stays_when_people_come_and_go(attempt, answer):
    set_up(attempt, answer)

    come_and_go(attempt)
    gone = not_there(attempt)
    assert not gone, feedback(
        saw=f"A consumer came to each queue, and left again. Then there was no queue {named(gone)} any more.",
        rule="A queue that was declared auto-delete is deleted when its last consumer goes, with all that comes to it meanwhile.",
        look="The arguments in your queue_declare",
    )
    passing = [name for name, found in sorted(attempt.exchanges().items()) if name in EXCHANGES and not found["durable"]]
    assert not passing, feedback(
        saw=f"RabbitMQ lists {named(passing)} as not durable.",
        rule="What is not durable is gone when RabbitMQ is restarted, and an exchange takes its bindings with it. Durable is a queue or an "
        "exchange, each by its own declaration.",
        look="The arguments in your exchange_declare",
    )
    fleeting = [name for name, found in attempt.exchanges().items() if name in EXCHANGES and found["auto_delete"]]
    assert not fleeting, feedback(
        saw=f"RabbitMQ lists {named(fleeting)} as auto-delete.",
        rule="An auto-delete exchange is deleted with its last binding; whoever publishes to it then gets a 404.",
        look="The arguments in your exchange_declare",
    )


def test_the_next_morning_changes_nothing(attempt, answer):
    set_up(attempt, answer)
    attempt.publish("desk.gifts", "left from yesterday")
    unbound = attempt.let_somebody_else_bind(*EXCHANGES)
    set_up(attempt, answer)

    assert attempt.depth("desk.gifts") == 1, feedback(
        saw=f"One message was waiting in `desk.gifts` when set_up() was called again; afterwards it held {attempt.depth('desk.gifts')}.",
        rule="To declare a queue that is there, as it is, changes nothing; to delete it throws away what waits in it.",
        look="Which line of your program deletes or purges something",
    )
    attempt.take("desk.gifts")
    gone = unbound()
    assert not gone, feedback(
        saw=f"Somebody else had bound a queue of their own to {named(EXCHANGES)}, before set_up() was called again; afterwards it was no "
        f"longer bound to {named(gone)}.",
        rule="An exchange that is deleted takes every binding with it, whoever made it, and the one that is declared next has none. Who "
        "publishes in between gets a 404.",
        look="Lesson 2.2, 'Change your mind'; which line of your program deletes something",
    )
    judge(
        attempt,
        [JOBS[0], NOTICES[0], ORDERS[0], PARCELS[0]],
        rule="A binding that is there already is not made again; one with another key or other arguments is another binding.",
        look="What in your program differs from one call to the next",
    )


def test_no_connection_is_left_open(attempt, answer):
    def set_up_and_look(mine):
        mine.set_up(attempt.parameters())
        return attempt.left_open()

    left = answer.run(set_up_and_look).value
    assert left == 0, feedback(
        saw=f"set_up() had returned, the program was still running, and {left} connection{'s' * (left != 1)} of it stayed open.",
        rule="A connection is open until it is closed or its program ends; each one costs RabbitMQ memory, and their number is limited.",
        look="Lesson 1.1, 'Put the order down': what ends the connection there?",
    )


def set_up(attempt, answer) -> None:
    """Let the learner's program set up the shop, and end."""
    answer.run(lambda mine: mine.set_up(attempt.parameters()))


def not_there(attempt) -> list[str]:
    """The queues that are not there."""
    there = {queue["name"] for queue in attempt.queues()}
    return [name for name in QUEUES if name not in there]


def judge(attempt, probes: list[Probe], rule: str, look: str) -> None:
    """Publish the probes, and compare where each of them landed with where the contract wants it."""
    landed = where(attempt, probes)
    for number, probe in enumerate(probes):
        too_many = Counter(landed[number]) - Counter(probe.to)
        no_other = ", and no other queue" * (bool(landed[number]) and not too_many)  # where one is too many, the reader would seek another
        saw = f"{probe} reached {places(landed[number])}{no_other}."
        assert landed[number] == sorted(probe.to), feedback(saw=saw, rule=rule, look=look)


def where(attempt, probes: list[Probe]) -> list[list[str]]:
    """Publish each probe, confirmed, and take everything out again: the queues each was in, one as often as it was there."""
    with pika.BlockingConnection(attempt.parameters()) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for number, probe in enumerate(probes):
            properties = pika.BasicProperties(headers=probe.headers)
            channel.basic_publish(exchange=probe.exchange, routing_key=probe.key, body=str(number), properties=properties)
        landed = [[] for _ in probes]
        for queue in QUEUES:
            while (found := channel.basic_get(queue=queue, auto_ack=True))[0]:
                landed[int(found[2])].append(queue)
    return [sorted(queues) for queues in landed]


def come_and_go(attempt) -> None:
    """Be a consumer of each queue for a moment."""
    with pika.BlockingConnection(attempt.parameters()) as connection:
        channel = connection.channel()
        for queue in QUEUES:
            tag = channel.basic_consume(queue=queue, on_message_callback=lambda *_: None)
            channel.basic_cancel(consumer_tag=tag)


def places(queues: list[str]) -> str:
    """Queues in words: which of them should not be there, or which is missing, is for the reader to say."""
    if not queues:
        return "no queue"
    told = [f"`{queue}`" + (f" {queues.count(queue)} times" if queues.count(queue) > 1 else "") for queue in dict.fromkeys(queues)]
    return " and ".join([", ".join(told[:-1]), told[-1]]) if len(told) > 1 else told[0]


def named(names) -> str:
    """Names in words."""
    return ", ".join(f"`{name}`" for name in names)


def named_or_none(names) -> str:
    """The same with a verb: "are `a`, `b`", "is none"."""
    return f"are {named(names)}" if len(names) > 1 else f"is {named(names) or 'none'}"
