"""Exercise 4.1: relay paid orders to shipping."""

import json
from collections import Counter

import pika
import pytest
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError, NackError

from rabbitlab import faults
from rabbitlab.grading import feedback, management
from rabbitlab.nodes import ADMIN, NODES
from rabbitlab.proxy import Proxy

COUNTRIES = ("de", "fr", "it")
QUORUM = {"x-queue-type": "quorum"}
WHOLE = 120  # seconds that a relay may run in one check; each check ends it sooner
PATIENCE = 8  # seconds for what takes a good relay one or two
LOOK_ON = 2.5  # seconds
TO_THE_LIMIT = 4  # seconds, in which an order comes back 20 times to who gives it back at once
MOST_TRIES = 60  # while we look on; with the shortest pause there are 25
BRIEF = "The docstring of your file"


def test_paid_orders_reach_shipping(attempt, answer):
    open_shop(attempt)
    first, second = orders(3), orders(3, start=4)

    hand_in(attempt, first)
    running = start(attempt, answer)
    saw = "Three orders were in `paid`, and after a while three more."
    arrived = wait(attempt, running, lambda: attempt.depth("shipping") >= 3, saw)
    hand_in(attempt, second)
    arrived = arrived and wait(attempt, running, lambda: attempt.depth("shipping") >= 6, saw)

    assert arrived, feedback(
        saw=f"{saw} After {PATIENCE} s {told(attempt)}.",
        rule="RabbitMQ sends orders to a consumer, and a program's publish to the queues that are bound with its routing key.",
        look=f"{BRIEF}: the exchange, and the routing key; Lesson 4.1, 'A publish can end in three ways'",
    )
    judge_receipts(attempt, running, saw)
    judge(attempt, [*first, *second], saw, copies_allowed=False)


def test_an_order_that_nobody_ships_is_set_aside(attempt, answer):
    open_shop(attempt)
    given = orders(4)
    given[1]["country"] = "at"
    rest = [order for order in given if order["country"] != "at"]

    hand_in(attempt, given)
    running = start(attempt, answer)
    saw = "Of four orders the second was for a country that no queue is bound for."
    wait(attempt, running, lambda: attempt.depth("shipping") >= 3 and attempt.depth("shipping.unroutable") >= 1, saw, within=6)

    assert attempt.depth("shipping") < len(given), feedback(
        saw=f"{saw} It is in the queue `shipping`, with the others.",
        rule="The default exchange takes the routing key for the name of a queue. An exchange of your own asks its bindings.",
        look=f"{BRIEF}: the exchange, and the routing key; Lesson 4.1, 'A publish can end in three ways'",
    )
    if attempt.depth("shipping.unroutable") == 0:
        waits = attempt.depth("paid") + attempt.unacked("paid")
        assert waits, feedback(
            saw=f"{saw} It is in no queue, and was acknowledged.",
            rule="What no queue wants RabbitMQ throws away, and confirms, unless it was published as mandatory: then it comes back to the "
            "publisher, and is nowhere else.",
            look="Lesson 4.1, 'A publish can end in three ways'; ./lab hint 4/ex_01",
        )
        raise AssertionError(
            feedback(
                saw=f"{saw} After 6 s {told(attempt)}.",
                rule="A message that was returned will be returned the next time, too. It waits, and those behind it.",
                look=f"{BRIEF}: where such an order goes; Lesson 4.1, the table in 'A publish can end in three ways'",
            )
        )
    judge_receipts(attempt, running, saw)
    aside = Counter(properties.message_id for _, properties in attempt.take("shipping.unroutable"))
    assert aside == {given[1]["id"]: aside[given[1]["id"]]}, feedback(
        saw=f"{saw} In `shipping.unroutable` are the message ids {sorted(map(str, aside))}.",
        rule="Only what RabbitMQ returns has nowhere to go. It comes back with its properties, and keeps those that it is published with.",
        look="Lesson 4.1, 'A publish can end in three ways'; ./lab hint 4/ex_01",
    )
    assert aside[given[1]["id"]] == 1, feedback(
        saw=f"{saw} It is in `shipping.unroutable` {aside[given[1]['id']]} times, and no connection was lost.",
        rule="With confirms on, pika tells of a returned message twice: by an exception at once, and by a callback later.",
        look="Reference page of lesson 4.1, 'With confirms, a return is told twice'",
    )
    judge(attempt, rest, saw, copies_allowed=False)


def test_a_crash_loses_no_order(attempt, answer):
    open_shop(attempt)
    given = orders(5)

    fill_up(attempt)
    hand_in(attempt, given)
    running = start(attempt, answer)
    saw = "Five orders were in `paid`, and `shipping` was full and took none."
    let_it_try(attempt, running, len(given), saw, look_on=TO_THE_LIMIT)
    running.kill()
    saw += " Then we killed your program, as a power cut would."

    judge_drops(attempt, saw)
    attempt.comes_true(lambda: attempt.depth("paid") + attempt.depth("shipping.unroutable") == len(given), within=4)
    kept = ids(attempt.take("paid")) | ids(attempt.take("shipping")) | ids(attempt.take("shipping.unroutable"))
    lost = [order["id"] for order in given if order["id"] not in kept]
    assert not lost, feedback(
        saw=f"{saw} {listed(lost)} {'is' if len(lost) == 1 else 'are'} in no queue: acknowledged, and never taken by `shipping`.",
        rule="An acknowledged message is gone from its queue. What a program has in its memory alone ends with the program.",
        look="Lesson 4.1, 'An acknowledgement given too early loses the order'; ./lab hint 4/ex_01",
    )


def test_a_full_queue_is_waited_for(attempt, answer):
    open_shop(attempt)
    given = orders(3)

    fill_up(attempt)
    hand_in(attempt, given)
    running = start(attempt, answer)
    saw = "Three orders were in `paid`, and `shipping` was full and refused them."
    let_it_try(attempt, running, len(given), saw)
    count = tries(attempt)

    judge_drops(attempt, saw)
    assert attempt.depth("shipping.unroutable") == 0, feedback(
        saw=f"{saw} Your program set them aside in `shipping.unroutable`.",
        rule="A refusal (a nack) means: not now. A queue that is full takes messages again when somebody has taken some out.",
        look="Lesson 4.1, the table in 'A publish can end in three ways'",
    )
    assert count <= MOST_TRIES, feedback(
        saw=f"{saw} In less than three seconds your program tried {count} times.",
        rule="RabbitMQ works for each refusal as it does for a message. A queue that was full a moment ago is full still.",
        look=f"{BRIEF}: the pause between two tries; ./lab hint 4/ex_01",
    )
    make_room(attempt)
    saw += " Then somebody made room."
    arrived = wait(attempt, running, lambda: attempt.depth("shipping") >= 3, saw, within=5)
    judge_drops(attempt, saw)
    assert arrived, feedback(
        saw=f"{saw} After 5 s {told(attempt)}.",
        rule="RabbitMQ keeps no list of what it has refused: it does not come to fetch it, nor tell you that there is room.",
        look="Lesson 4.1, 'A publish can end in three ways': what becomes of the invoice that was refused?",
    )
    judge_receipts(attempt, running, saw)
    judge(attempt, given, saw, copies_allowed=False)


def test_a_lost_confirm_loses_no_order(attempt, answer):
    open_shop(attempt)
    given = orders(6)

    hand_in(attempt, given)
    with Proxy(to=management.answering().amqp) as wire:
        wire.lose_confirm(nth=3)
        running = start(attempt, answer, [attempt.parameters(port=wire.port)])
        saw = "RabbitMQ stored an order and confirmed it, and on the wire the confirm and the connection were lost."
        arrived = wait(attempt, running, lambda: attempt.depth("shipping") >= 6 and attempt.depth("paid") == 0, saw)
        assert arrived, feedback(
            saw=f"{saw} After {PATIENCE} s {told(attempt)}.",
            rule="A lost connection does not come back by itself. What was not acknowledged on it is in its queue again.",
            look="Lesson 4.1, 'The broker ends a consumer, and nobody is told': the loop; ./lab hint 4/ex_01",
        )
        judge_receipts(attempt, running, saw)
        judge(attempt, given, saw)
        assert wire.accepted > 1, feedback(
            saw=f"{len(given)} orders were relayed, and RabbitMQ sent no confirm that could be lost.",
            rule="RabbitMQ confirms what is published on a channel that has asked for it.",
            look="confirm_delivery, on every channel that you open",
        )


def test_a_cancelled_consumer_comes_back(attempt, answer):
    open_shop(attempt)
    first, second = orders(2), orders(2, start=3)

    hand_in(attempt, first)
    running = start(attempt, answer)
    saw = "Two orders were relayed."
    assert wait(attempt, running, lambda: attempt.depth("shipping") >= 2, saw), feedback(
        saw=f"Two orders were in `paid`. After {PATIENCE} s {told(attempt)}.",
        rule="RabbitMQ sends a consumer what is in its queue.",
        look="The first check, which this program has passed once",
    )
    judge_receipts(attempt, running, saw)
    before = attempt.connections()
    management.call("DELETE", "queues", attempt.vhost, "paid")
    saw += " Then an administrator deleted `paid`, which was empty, and declared it anew 1.5 s later."
    wait(attempt, running, lambda: False, saw, within=1.5)
    declare_paid(attempt)
    hand_in(attempt, second)
    arrived = wait(attempt, running, lambda: attempt.depth("shipping") >= 4, saw)

    assert arrived, feedback(
        saw=f"{saw} Two more orders came, and {PATIENCE} s later {told(attempt)}.",
        rule="When a queue is deleted, RabbitMQ cancels its consumers. A queue of the same name is another queue, and has none.",
        look="Lesson 4.1, 'The broker ends a consumer, and nobody is told'; ./lab hint 4/ex_01",
    )
    judge_receipts(attempt, running, saw)
    after = attempt.connections()
    assert after <= before, feedback(
        saw=f"{saw} Before that your program had {before} connection{'s' if before != 1 else ''} open, and afterwards {after}.",
        rule="A consumer that was cancelled leaves its channel and its connection open. They are closed by who opened them.",
        look="Lesson 4.1, 'The broker ends a consumer, and nobody is told': what closes the connection there?",
    )
    judge(attempt, [*first, *second], saw)


@pytest.mark.faults
def test_a_killed_node_loses_no_order(attempt, answer):
    open_shop(attempt)
    first, second = orders(10), orders(10, start=11)
    leader = management_name(attempt.queue("paid")["leader"])
    nodes = sorted(attempt.everywhere(), key=lambda parameters: parameters.port != port_of(leader))

    hand_in(attempt, first)
    running = start(attempt, answer, nodes)
    saw = "Ten orders were relayed."
    wait(attempt, running, lambda: attempt.depth("shipping") >= 10, saw)
    with faults.killed(leader):
        saw += " Then we killed the first node of your list, on which `paid` had its leader, and ten more came."
        attempt.queues()  # from now on, another node is asked
        hand_in(attempt, second)
        arrived = wait(attempt, running, lambda: attempt.depth("shipping") >= 20 and attempt.depth("paid") == 0, saw, within=15)
        after = "" if arrived else told(attempt)
    assert arrived, feedback(
        saw=f"{saw} After 15 s, with two nodes running, {after}.",
        rule="A quorum queue of three members goes on with two, under another leader. A client that was connected to the dead node is "
        "connected to nothing.",
        look="Lesson 4.1, 'The broker ends a consumer, and nobody is told': what does BlockingConnection do with a list?",
    )
    attempt.comes_true(lambda: attempt.unacked("paid") == 0, within=5)
    judge(attempt, [*first, *second], saw)


def open_shop(attempt) -> None:
    """The queues and the exchange. What `paid` drops, for whatever reason, is kept for us to see."""
    for queue in ("shipping", "shipping.unroutable", "paid.dropped"):
        attempt.declare(queue, arguments=QUORUM)
    declare_paid(attempt)
    management.call("PUT", "exchanges", attempt.vhost, "shipping", body={"type": "direct", "durable": True})
    for country in COUNTRIES:
        management.call("POST", "bindings", attempt.vhost, "e", "shipping", "q", "shipping", body={"routing_key": country})


def declare_paid(attempt) -> None:
    """The queue of paid orders. What it holds for a consumer whose node is dead it holds for 2 s, and not for 60 as by default."""
    dropped = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "paid.dropped"}
    attempt.declare("paid", arguments={**QUORUM, **dropped, "x-consumer-disconnected-timeout": 2000})


def orders(count: int, start: int = 1) -> list[dict]:
    """Orders, to one country after the other."""
    return [{"id": f"order-{n}", "country": COUNTRIES[n % len(COUNTRIES)], "items": ["lamp"]} for n in range(start, start + count)]


def as_body(order: dict) -> bytes:
    """An order as the till writes it; a relay that reads it and writes it anew writes something else."""
    return json.dumps(order, indent=1).encode()


def hand_in(attempt, given: list[dict]) -> None:
    """Put orders into `paid`, as a till with confirms does."""
    with ours(attempt) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for order in given:
            properties = pika.BasicProperties(message_id=order["id"], content_type="application/json", delivery_mode=2)
            channel.basic_publish(exchange="", routing_key="paid", body=as_body(order), properties=properties, mandatory=True)


def fill_up(attempt) -> None:
    """Let `shipping` be full: it refuses whatever comes."""
    attempt.policy("shipping", max_length=1, overflow="reject-publish")
    with ours(attempt) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        refused = 0
        while refused < 3:  # a quorum queue refuses a little late, and then goes on refusing
            try:
                channel.basic_publish(exchange="", routing_key="shipping", body=b"{}", properties=pika.BasicProperties(message_id="filler"))
            except NackError:
                refused += 1


def make_room(attempt) -> None:
    """Take out what fills `shipping`, and nothing else; then lift its limit."""
    with ours(attempt) as connection:
        channel = connection.channel()
        method, properties, _ = channel.basic_get(queue="shipping")
        while method and properties.message_id == "filler":
            channel.basic_ack(delivery_tag=method.delivery_tag)
            method, properties, _ = channel.basic_get(queue="shipping")
    management.call("DELETE", "policies", attempt.vhost, "shipping")


def ours(attempt) -> pika.BlockingConnection:
    """A connection of the lab's administrator to any node that runs."""
    patient = {"socket_timeout": 30, "stack_timeout": 60}  # on a machine that has much else to do
    return pika.BlockingConnection(attempt.everywhere(credentials=pika.PlainCredentials(*ADMIN), heartbeat=0, **patient))


def start(attempt, answer, nodes: list | None = None):
    """Start the relay in a process of its own."""
    nodes = nodes or attempt.everywhere()
    return answer.start(lambda mine: mine.relay(nodes), within=WHOLE, raises=(AMQPError, AMQPConnectorException))


def wait(attempt, running, condition, saw: str, within: float = PATIENCE) -> bool:
    """Wait for *condition*; False when time is up. A relay that ends meanwhile fails the check at once."""
    reached = attempt.comes_true(lambda: not running.alive or condition(), within)
    if not running.alive:
        run = running.wait()
        how = f"ended with {type(run.error).__name__}" if run.error else f"returned {run.value!r}"
        raise AssertionError(
            feedback(
                saw=f"{saw} Your relay {how}.",
                rule="A supervisor starts a program again that has failed, and not one that has returned: that one has done its work."
                if not run.error
                else RULES.get(
                    type(run.error).__name__, "A connection or a channel that was lost ends the program that does not begin anew."
                ),
                look=f"{BRIEF}: Returns; Lesson 4.1, 'The broker ends a consumer, and nobody is told'; ./lab hint 4/ex_01",
            )
        )
    return reached


RULES = {
    "UnroutableError": "pika raises it for a mandatory message that no queue wants. Connection and channel go on; the message is nowhere.",
    "NackError": "pika raises it for a message that a queue refuses now. Connection and channel go on; the message is nowhere.",
}


def tries(attempt) -> int:
    """How many messages were published to the exchange so far, as of a second ago, and by the checks before."""
    seen = management.call("GET", "exchanges", attempt.vhost, "shipping")
    return seen.get("message_stats", {}).get("publish_in", 0)


def told(attempt) -> str:
    """Where messages are: "`paid` holds 2 messages and `shipping` 1"."""
    counts = {queue: attempt.depth(queue) for queue in ("paid", "shipping", "shipping.unroutable") if attempt.exists(queue)}
    unacked = attempt.unacked("paid") if "paid" in counts else 0
    return ", ".join(f"`{queue}` holds {count}" for queue, count in counts.items()) + (f", and {unacked} unacknowledged" if unacked else "")


def let_it_try(attempt, running, count: int, saw: str, look_on: float = LOOK_ON) -> None:
    """Wait until the relay has taken an order, and look on for some seconds, in which the machine does not stand still."""
    took = wait(attempt, running, lambda: attempt.depth("paid") < count, saw)
    assert took, feedback(
        saw=f"{saw} Within {PATIENCE} s your program took none of them.",
        rule="A consumer is sent what is ready in its queue, as soon as it asks for it.",
        look="The first check, which this program has passed once",
    )
    wait(attempt, running, lambda: False, saw, within=look_on)


def judge_receipts(attempt, running, saw: str) -> None:
    """In the end `paid` must hold nothing, neither ready nor unacknowledged."""
    done = wait(attempt, running, lambda: attempt.depth("paid") == 0 and attempt.unacked("paid") == 0, saw, within=4)
    assert done, feedback(
        saw=f"{saw} All of them had arrived, and {told(attempt)}.",
        rule="Until it is acknowledged, a message belongs to its queue, and is delivered again to the next who asks.",
        look="Lesson 4.1, 'An acknowledgement given too early loses the order': and when is the right time?",
    )


def judge_drops(attempt, saw: str) -> None:
    """What `paid` dropped was rejected for good, or came back too often."""
    dropped = attempt.take("paid.dropped")
    reasons = {properties.headers["x-death"][0]["reason"] for _, properties in dropped}
    assert "delivery_limit" not in reasons, feedback(
        saw=f"{saw} `paid` dropped {len(dropped)} of the orders: each had come back to it more than 20 times.",
        rule="A quorum queue counts how often a message comes back by basic_reject, or from a channel that was closed, and drops it after "
        "the twentieth time.",
        look="Reference page of lesson 4.1, 'A prefetch limits what comes back'; ./lab hint 4/ex_01",
    )
    assert not dropped, feedback(
        saw=f"{saw} Your program rejected {len(dropped)} of the orders for good, and `paid` dropped them.",
        rule="A message that is rejected without being put back is gone from its queue.",
        look="requeue, in basic_reject and basic_nack; ./lab hint 4/ex_01",
    )


def judge(attempt, given: list[dict], saw: str, copies_allowed: bool = True) -> None:
    """Compare what is in `shipping` with what was handed in."""
    judge_drops(attempt, saw)
    arrived = [(body, properties) for body, properties in attempt.take("shipping") if properties.message_id != "filler"]
    known = {as_body(order): order["id"] for order in given}
    strange = [body for body, _ in arrived if body not in known]
    assert not strange, feedback(
        saw=f"{saw} In `shipping` is a message that was none of these orders: {strange[0][:60].decode(errors='replace')!r}.",
        rule="RabbitMQ carries bytes and never reads them; who writes an order anew writes another one.",
        look=f"{BRIEF}: An order goes on as it came",
    )
    renamed = [known[body] for body, properties in arrived if properties.message_id != known[body]]
    assert not renamed, feedback(
        saw=f"{saw} {listed(renamed)} arrived with another message_id, or without one.",
        rule="Properties belong to one publish. What a program publishes has the properties that it gives, and no others.",
        look="Lesson 4.1, 'A confirm gets lost, and the order comes twice': to whom does the id belong?",
    )
    copies = Counter(properties.message_id for _, properties in arrived)
    lost = [order["id"] for order in given if order["id"] not in copies]
    assert not lost, feedback(
        saw=f"{saw} {listed(lost)} {'is' if len(lost) == 1 else 'are'} in no queue.",
        rule="RabbitMQ has a message when it has confirmed it; until then, its publisher has. An acknowledgement lets go of the other.",
        look="Lesson 4.1, the table in 'A publish can end in three ways'; ./lab hint 4/ex_01",
    )
    again = [name for name, count in copies.items() if count > 1]
    assert copies_allowed or not again, feedback(
        saw=f"{saw} {listed(again)} arrived more than once, and no connection was lost.",
        rule="What RabbitMQ has confirmed it has. A second publish makes a second message.",
        look=f"{BRIEF}: where an order may arrive twice",
    )


def ids(taken: list[tuple]) -> set[str]:
    """The message ids of what was taken, or the ids in the bodies where there are none."""
    return {properties.message_id or json.loads(body).get("id") for body, properties in taken}


def listed(names: list[str]) -> str:
    """Ids in words: "order-1, order-2 and 3 more"."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(str(name) for name in names[:5]) + more


def management_name(node: str) -> str:
    """``rabbit@rabbit2`` as ``rabbit2``."""
    return node.partition("@")[2]


def port_of(name: str) -> int:
    """The AMQP port of a node."""
    return next(node.amqp for node in NODES if node.name == name)
