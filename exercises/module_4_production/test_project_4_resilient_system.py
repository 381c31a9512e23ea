"""Project 4: the resilient system."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pika
import psutil
import pytest

from rabbitlab import broker, containers, faults
from rabbitlab.errors import Mendable
from rabbitlab.faults import Fault
from rabbitlab.grading import feedback, management
from rabbitlab.grading.room import USER_LIMITS, VHOST_LIMITS
from rabbitlab.grading.verdict import Verdict
from rabbitlab.ledger import Ledger
from rabbitlab.nodes import NODES
from rabbitlab.proxy import Proxy

HINT = "./lab hint 4/project"
QUEUE, DEAD = "shop.orders", "shop.orders.dead"
ARGUMENTS = {  # as in topology.py, which a learner may change
    "x-queue-type": "quorum",
    "x-delivery-limit": 20,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": DEAD,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
    "x-consumer-disconnected-timeout": 3000,
}
OUTCOMES = {"confirmed": "ok", "returned": "fail", "refused": "fail", "unknown": "unknown"}
ORDERS = 5000
RUSH = 4700  # orders that come in at the pace of a shop; the rest wait until the last fault is over
PACE = 0.011  # seconds between two of them
POISON_EVERY = 250
AGAIN = 30  # seconds within which orders flow again, through the nodes that are left


def test_orders_go_through(attempt, answer):
    shop = Shop(attempt, answer)
    told = shop.produce(10).wait().value
    messages = attempt.take(QUEUE)
    consumer = shop.consume()
    told += shop.produce(range(10, 60)).wait().value
    shop.wait(lambda: len(shop.effects()) >= 50, 10, "50 confirmed orders to be handled")
    consumer.terminate()
    left = consumer.wait().value
    odd = [id for id in shop.ledger.verdict().unexpected if id.startswith("a ")]

    wrong = [(properties.message_id, body) for body, properties in messages if properties.message_id != _read(body).get("id")]
    as_agreed = len(messages) == 10 and not wrong
    assert as_agreed, feedback(
        saw=f"produce was given order-0 to order-9. `{QUEUE}` then held {_messages(len(messages))}"
        + (f", one with the message_id {wrong[0][0]!r} and the body {wrong[0][1]!r:.60}." if wrong else "."),
        rule="RabbitMQ stores a body and properties, and reads neither; by what name a message is known again is the publisher's to say.",
        look="The docstring of produce, its second paragraph; " + HINT,
    )
    assert told == [(f"order-{n}", "confirmed") for n in range(60)], feedback(
        saw=f"60 orders met no trouble, and report was told {_outcomes(told)}.",
        rule="With confirms on, RabbitMQ answers for each message once, as soon as a majority of the queue's members has it.",
        look="Lesson 4.1, 'A publish can end in three ways'; the docstring of produce",
    )
    assert not odd, feedback(
        saw=f"handle was called with {odd[0]}.",
        rule="RabbitMQ hands over bytes; what they mean was agreed between producer and consumer.",
        look="The docstring of consume, on handle",
    )
    assert not left, feedback(
        saw=f"produce and consume had returned, and {_count(left, 'connection')} of the program that consumed {_are(left)} still open.",
        rule="A connection that nobody closes is open until its process ends; meanwhile it holds what it fetched.",
        look="What closes the connection on each way out of consume; " + HINT,
    )


def test_an_order_that_no_queue_takes_is_told_as_returned(attempt, answer):
    shop = Shop(attempt, answer)
    management.call("DELETE", "queues", attempt.vhost, QUEUE)
    told = shop.produce(3, within=8).wait().value

    assert told == [(f"order-{n}", "returned") for n in range(3)], feedback(
        saw=f"The queue `{QUEUE}` had been deleted. produce was given three orders, and told report {_outcomes(told)}.",
        rule="RabbitMQ confirms a message that no queue takes, and throws it away, unless the publisher asks to have it back.",
        look="Lesson 4.1, 'A publish can end in three ways'; " + HINT,
    )


def test_an_order_that_a_full_queue_refuses_is_sent_again(attempt, answer):
    shop = Shop(attempt, answer)
    attempt.policy(QUEUE, **{"max_length": 5})
    producer = shop.produce(12, within=20)
    shop.wait(lambda: shop.ended(producer) or shop.told("fail"), 10, "a full queue's refusal to be reported")
    taken = []
    shop.wait(lambda: taken.extend(attempt.take(QUEUE)) or shop.ended(producer), 15, "all orders to be settled, once there is room")
    taken += attempt.take(QUEUE)
    told = producer.wait().value
    last = dict(told)

    arrived = {_read(body).get("id") for body, _ in taken}
    untrue = [id for id, outcome in last.items() if outcome == "confirmed" and id not in arrived]
    assert not untrue, feedback(
        saw=f"The queue was full, and refused orders. Of {untrue[0]} report was told 'confirmed'; it never came to the queue.",
        rule="A queue with x-overflow reject-publish answers a message that it has no room for with basic.nack: it does not have it.",
        look="Lesson 4.1, 'A publish can end in three ways'; the docstring of produce, on report",
    )
    given_up = [id for id, outcome in last.items() if outcome != "confirmed"] + [
        f"order-{n}" for n in range(12) if f"order-{n}" not in last
    ]
    assert not given_up, feedback(
        saw=f"The queue was full for a moment, and refused orders; then there was room. {given_up[0]} never came to it; the last that "
        f"report was told of it is {last.get(given_up[0], 'nothing')!r}.",
        rule="A refused message is nowhere but with its publisher. A full queue has room again when its consumers have worked.",
        look="The docstring of produce, on report; " + HINT,
    )
    assert any(outcome == "refused" for _, outcome in told), feedback(
        saw=f"The queue was full for a moment, and refused orders. report was told {_outcomes(told)}.",
        rule="A refusal is a fact that somebody may want to see: a queue that is full again and again has too few consumers.",
        look="The docstring of produce, on report",
    )


def test_a_lost_confirm_is_unknown_and_the_order_sent_again(attempt, answer):
    shop = Shop(attempt, answer)
    with Proxy(NODES[0].amqp) as proxy:
        proxy.lose_confirm(nth=3)
        told = shop.produce(6, urls=[shop.url(proxy.port)], within=20).wait().value
    messages = [(properties.message_id, _read(body).get("id")) for body, properties in attempt.take(QUEUE)]
    times = Counter(id for _, id in messages)
    outcomes = [outcome for id, outcome in told if id == "order-2"]

    lost = "RabbitMQ had stored order-2, and its connection broke before the confirm came through."
    assert times["order-2"] >= 2, feedback(
        saw=f"{lost} It was sent once, and report was told {outcomes} of it. That RabbitMQ had it, the producer could not know.",
        rule="No confirm is no answer: the message may be stored, or not. Only sending it again makes sure that it is there.",
        look="Lesson 4.1, 'A confirm gets lost, and the order comes twice'; " + HINT,
    )
    strange = [given for given, id in messages if given != id]
    assert not strange, feedback(
        saw=f"{lost} It was sent again; one of the two messages has the message_id {strange[0]!r}." if strange else "",
        rule="Two messages that mean the same order can be known as one by something that both bear, and by nothing else.",
        look="The docstring of produce, its second paragraph",
    )
    assert outcomes == ["unknown", "confirmed"], feedback(
        saw=f"{lost} It was sent again and confirmed; report was told {outcomes} of it.",
        rule="A message whose connection is lost before the confirm is neither stored for sure nor lost for sure.",
        look="The docstring of produce, on report",
    )
    assert len(times) == 6, feedback(
        saw=f"{lost} Of six orders, {len(times)} came to the queue.",
        rule="A connection that is lost takes its channels with it; what was to be sent is the program's to remember.",
        look="What your producer does after it has connected again; " + HINT,
    )


def test_nodes_that_are_dead_or_silent_are_passed_over(attempt, answer):
    shop = Shop(attempt, answer)
    with Proxy(NODES[0].amqp) as silent:
        silent.black_hole()
        producer = shop.produce(5, urls=[shop.url(silent.port)], within=60)
        shop.wait(lambda: silent.accepted >= 2, 40, "the producer to try the silent node a second time")
        silent.heal()
        told = producer.wait().value
        assert dict(told) == {f"order-{n}": "confirmed" for n in range(5)}, feedback(
            saw=f"A node was silent for a while. Then it answered, and report was told {_outcomes(told)}.",
            rule="While no node answers, nothing is known of a message; once one answers, it can be sent.",
            look="The docstring of produce, on report; " + HINT,
        )
        consumer = shop.consume(urls=[shop.url(_nobody_listens()), shop.url(_nobody_listens()), shop.url(NODES[1].amqp)])
        shop.wait(lambda: len(shop.effects()) == 5, 15, "the consumer to reach the one node of three that lives, and work")
        consumer.terminate()


def test_a_refused_login_is_told(attempt, answer):
    shop = Shop(attempt, answer)
    urls = [url.replace(attempt.password, "not-this") for url in shop.urls()]
    refused = (pika.exceptions.ProbableAuthenticationError,)
    for name, start in (("produce", shop.produce), ("consume", shop.consume)):
        run = start(urls=urls, within=12, raises=refused).wait()
        assert run.error is not None, feedback(
            saw=f"{name} was given a password that is not the user's, and returned as if it had worked.",
            rule="RabbitMQ refuses a wrong password each time it is asked. Whoever started the program can mend it, once they are told.",
            look="Raises: in the docstring; " + HINT,
        )


def test_an_order_that_cannot_be_handled_is_parked_with_its_reason(attempt, answer):
    shop = Shop(attempt, answer)
    bad = {"order-3": "no mug is that big", "order-11": "no such street"}

    def stumble(order):
        if order["id"] in bad:
            raise ValueError(bad[order["id"]])

    shop.publish(*({"id": f"order-{n}"} for n in range(20)))
    shop.publish(b'{"id": "torn', ids=["torn"])
    consumer = shop.consume(stumble)
    shop.wait(lambda: shop.is_done(18) or shop.starts("order-3") > 40, 12, "all orders but the bad ones", tolerant=True)
    calls, handled, waiting = shop.starts("order-3"), len(set(shop.effects())), attempt.depth(QUEUE)
    consumer.terminate()
    consumer.wait()
    parked = {properties.message_id: (body, properties.headers or {}) for body, properties in attempt.take(DEAD)}
    back = {properties.message_id for _, properties in attempt.take(QUEUE)}

    what = "Of 20 orders two made handle raise each time, and a 21st message was no JSON."
    assert calls <= 40, feedback(
        saw=f"{what} After a moment handle had been called {calls} times for one of them, and no end was in sight.",
        rule="RabbitMQ delivers a message again as often as it is put back. On a quorum queue basic_reject counts towards a limit, "
        "and basic_nack does not.",
        look="Lesson 4.2, 'Give a poison message back, and watch'; " + HINT,
    )
    assert handled == 18, feedback(
        saw=f"{what} {handled} of the 18 good ones were handled; {_messages(waiting)} waited in `{QUEUE}`.",
        rule="A message that fails is one message. Those behind it wait for as long as the consumer has nothing else to do but fail.",
        look="What your consumer does after handle has raised; " + HINT,
    )
    gone = [id for id in (*bad, "torn") if id not in parked and id not in back]
    assert not gone, feedback(
        saw=f"{what} {gone[0]} is in neither `{QUEUE}` nor `{DEAD}`.",
        rule="What is acknowledged leaves its queue, handled or not. What is to be kept must be in another queue before.",
        look="The docstring of consume, where it speaks of parking; " + HINT,
    )
    kept = [id for id in (*bad, "torn") if id in back]
    assert not kept, feedback(
        saw=f"{what} {kept[0]} was still in `{QUEUE}`, and not in `{DEAD}`.",
        rule="A message stays in its queue until it is acknowledged or rejected for good.",
        look="The docstring of consume, where it speaks of parking; " + HINT,
    )
    bare = [id for id, text in bad.items() if text not in str(parked[id][1].get("reason"))]
    bare += ["torn"] if not parked["torn"][1].get("reason") else []
    assert not bare, feedback(
        saw=f"{what} {bare[0]} was parked in `{DEAD}` with the headers {_headers(parked[bare[0]][1])}.",
        rule="RabbitMQ writes down that a message was rejected, and cannot know why your code rejected it.",
        look="'reason' in the docstring of consume; " + HINT,
    )
    assert parked["torn"][0] == b'{"id": "torn', feedback(
        saw=f"The message that was no JSON was parked with another body: {parked['torn'][0]!r:.60}.",
        rule="Who looks into a dead letter queue wants to see what was sent.",
        look="The docstring of consume, where it speaks of parking",
    )
    assert calls == shop.starts("order-11") == 3, feedback(
        saw=f"{what} For one bad order handle was called {_count(calls, 'time')}, for the other {_count(shop.starts('order-11'), 'time')}.",
        rule="A quorum queue counts how often a message was rejected, and tells in the header x-delivery-count; at first there is none.",
        look="The docstring of consume, on how often a message is tried; lesson 4.2, 'Give a poison message back, and watch'",
    )


def test_a_consumer_that_was_cancelled_comes_back(attempt, answer):
    shop = Shop(attempt, answer)
    shop.publish(*({"id": f"order-{n}"} for n in range(5)))
    consumer = shop.consume(within=40)
    shop.wait(lambda: len(shop.effects()) == 5, 10, "the first five orders to be handled")
    with suppress(TimeoutError):  # a consumer that declares the queue itself has it back before it is gone everywhere
        broker.forget(QUEUE, vhost=attempt.vhost)
    shop.declare()
    shop.publish(*({"id": f"order-{n}"} for n in range(5, 10)))
    shop.wait(lambda: shop.ended(consumer) or len(shop.effects()) == 10, 12, "the consumer to come back to its queue", tolerant=True)

    happened = "The queue was deleted under the consumer, and declared again; five orders came in."
    assert consumer.alive, feedback(
        saw=f"{happened} consume had returned, without an exception, when the queue went.",
        rule="RabbitMQ cancels the consumers of a queue that is deleted. In pika the loop that consumes then ends, as if all were done.",
        look="Lesson 4.1, 'The broker ends a consumer, and nobody is told'; " + HINT,
    )
    assert len(shop.effects()) == 10, feedback(
        saw=f"{happened} {len(shop.effects()) - 5} of them were handled within 12 s.",
        rule="A consumer that was cancelled does not exist any more. Whoever wants to consume must ask again, on a queue that is there.",
        look="Lesson 4.1, 'The broker ends a consumer, and nobody is told'; " + HINT,
    )


def test_a_lost_connection_loses_no_order(attempt, answer):
    shop = Shop(attempt, answer)
    consumer = shop.consume(within=40)
    producer = shop.produce(150, pace=0.02, within=40)
    for so_far in (20, 60, 100):
        shop.wait(lambda: len(shop.effects()) >= so_far, 12, f"{so_far} orders to be handled, after connections were closed")  # noqa: B023
        attempt.close_connections(at_least=1)
    producer.wait()
    shop.wait(lambda: shop.is_done(150), 12, "all orders to be handled", tolerant=True)
    consumer.terminate()
    consumer.wait()
    verdict = shop.verdict()

    all_there = verdict.valid and not verdict.counts["ready"]
    assert all_there, feedback(
        saw=f"RabbitMQ closed all connections, three times. {_lost(shop, verdict)}",
        rule="A connection that ends takes nothing with it that was confirmed or not yet acknowledged; what the program held, it holds.",
        look="Lesson 4.1, 'An acknowledgement given too early loses the order'; " + HINT,
    )


def test_sigterm_hands_back_what_was_not_handled(attempt, answer):
    shop = Shop(attempt, answer)
    shop.publish(*({"id": f"order-{n}"} for n in range(40)))
    consumer = shop.consume(lambda order: _work(0.15), within=30)
    shop.wait(lambda: len(shop.effects()) >= 5, 10, "the first orders to be handled")
    consumer.terminate()
    asked, handled = time.monotonic(), len(shop.effects())
    shop.wait(lambda: shop.ended(consumer), 4, tolerant=True)
    seconds, more = time.monotonic() - asked, len(shop.effects()) - handled
    ended = shop.ended(consumer)
    consumer.kill()

    torn = set(shop.all("start")) - set(shop.effects())
    at_once = ended and more < 5
    assert at_once, feedback(
        saw=f"SIGTERM came when {handled} of 40 orders were handled. {seconds:.1f} s later {more} more were, and consume had "
        f"{'returned' if ended else 'not returned'}.",
        rule="Who stops a program sends SIGTERM, waits some seconds, and kills it. What it fetched beyond that is not its own.",
        look="'stopping' in the docstring of consume; " + HINT,
    )
    assert not torn, feedback(
        saw=f"SIGTERM came while {sorted(torn)[0]} was in hand: its handle was begun, and not ended.",
        rule="A signal handler runs between two lines of your program, wherever that is; an exception from it flies through the work.",
        look="What your program does with the signal, or with the event that it sets",
    )
    second = shop.consume()
    shop.wait(lambda: shop.is_done(40), 10, "a second consumer to handle what the first handed back", tolerant=True)
    second.terminate()
    second.wait()
    verdict = shop.verdict()
    all_there = not verdict.lost and not verdict.counts["ready"]
    assert all_there, feedback(
        saw=f"SIGTERM ended the consumer, and another took over. {_lost(shop, verdict)}",
        rule="A message that is acknowledged is gone; one that was fetched and is not acknowledged is ready again when its channel closes.",
        look="What your consumer does with what it has fetched, once it is asked to stop; " + HINT,
    )
    assert not verdict.duplicated, feedback(
        saw=f"SIGTERM ended the consumer, and another took over. {_count(len(verdict.duplicated), 'order')} came twice, one of them "
        f"{verdict.duplicated[0]}; no acknowledgement was lost."
        if verdict.duplicated
        else "",
        rule="What was handled and not acknowledged comes again.",
        look="When your consumer acknowledges; " + HINT,
    )


def test_the_producer_ends_on_sigterm_and_has_told_the_truth(attempt, answer):
    shop = Shop(attempt, answer)
    producer = shop.produce(100_000, pace=0.02, within=20)
    shop.wait(lambda: shop.told("ok") >= 20, 10, "the first orders to be confirmed")
    producer.terminate()
    shop.wait(lambda: shop.ended(producer), 4, tolerant=True)
    ended = shop.ended(producer)
    producer.kill()
    arrived = [_read(body)["id"] for body, _ in attempt.take(QUEUE)]
    verdict = shop.ledger.verdict(ready=arrived)

    assert ended, feedback(
        saw="SIGTERM came while orders came in, 50 a second; four seconds later produce had not returned.",
        rule="Who stops a program sends SIGTERM, waits some seconds, and kills it.",
        look="'stopping' in the docstring of produce; " + HINT,
    )
    assert verdict.valid, feedback(
        saw=f"SIGTERM ended the producer. Of {verdict.counts['confirmed']} orders that report was told are confirmed, "
        f"{len(verdict.lost)} are not in the queue.",
        rule="A message is confirmed when RabbitMQ says so; until then it is on its way, or nowhere.",
        look="When your producer calls report, and with what",
    )


def test_sigkill_loses_no_order(attempt, answer):
    shop = Shop(attempt, answer)
    shop.publish(*({"id": f"order-{n}"} for n in range(30)))
    consumer = shop.consume(lambda order: threading.Event().wait() if order["id"] == "order-4" else None, within=30)
    shop.wait(lambda: "order-4" in shop.all("start"), 10, "the fifth order to be in hand")
    consumer.kill()
    second = shop.consume()
    shop.wait(lambda: shop.is_done(30), 12, "a second consumer to handle the rest", tolerant=True)
    second.terminate()
    second.wait()
    verdict = shop.verdict()

    all_there = not verdict.lost and not verdict.counts["ready"]
    assert all_there, feedback(
        saw=f"The consumer was killed with an order in hand, and another took over. {_lost(shop, verdict)}",
        rule="A message that is acknowledged is gone, whatever becomes of the consumer. What is not acknowledged comes again.",
        look="Lesson 4.1, 'An acknowledgement given too early loses the order'; " + HINT,
    )


def test_the_programs_run_as_the_brief_says(attempt, answer):
    shop = Shop(attempt, answer, declared=False)
    producer = shop.program("production_producer.py")
    shop.wait(lambda: attempt.exists(QUEUE) and attempt.depth(QUEUE) >= 3, 12, f"python production_producer.py to fill `{QUEUE}`")
    consumer = shop.program("production_consumer.py")
    shop.wait(lambda: _drained(attempt), 12, f"python production_consumer.py to empty `{QUEUE}`")
    ends = {}
    for name, running in (("production_producer.py", producer), ("production_consumer.py", consumer)):
        running.terminate()
        shop.wait(lambda: shop.ended(running), 4, tolerant=True)  # noqa: B023
        ends[name] = running.wait().value if shop.ended(running) else "none"

    late = [name for name, status in ends.items() if status != 0]
    assert not late, feedback(
        saw=f"python {late[0]} worked. SIGTERM came, and within four seconds its exit status was {ends[late[0]]}." if late else "",
        rule="Status 0 says that a program ended as it was meant to. One that is ended by a signal did not end by itself.",
        look="main in your file",
    )


@pytest.mark.faults
def test_5000_orders_survive_a_broken_cluster(attempt, answer):
    shop = Shop(attempt, answer, keep=True)
    faults_seen: list[Fault] = []
    with ExitStack() as stack:
        stack.callback(lambda: shop.draw(faults_seen))
        consumer = [shop.consume(_poisoned, within=400)]
        producer = shop.produce(ORDERS, pace=PACE, within=400)
        shop.flows("the run began", 150)
        _through_dead_and_silent_nodes(shop, faults_seen, producer)
        _through_ends_of_the_consumer(shop, faults_seen, consumer)
        shop.rush()
        shop.wait(lambda: shop.ended(producer), 150, "the rest of the 5,000 orders to be settled, with the whole cluster there")
        shop.wait(lambda: _drained(attempt), 45, "the queue to be empty after the last order", tolerant=True)
        consumer[0].terminate()
        consumer[0].wait()
        shop.take_what_is_left()
    _judge(shop, shop.verdict(), faults_seen)


def _through_dead_and_silent_nodes(shop, seen, producer):
    """The queue's leader is killed, the producer's node falls silent, a follower is cut off; orders must flow again meanwhile."""
    with shop.during(faults.killed(shop.leader()), seen) as there:
        shop.flows(there.name, 60)
    silent = shop.node_of(producer)
    shop.lead_elsewhere(silent, but_not=there.name.split()[0])
    with shop.during(faults.paused(silent), seen) as there:
        shop.flows(f"{there.name}, the node of the producer's connection", 60)
    shop.flows("the silent node was awake again", 60)
    with shop.during(faults.cut_off(shop.follower()), seen) as there:
        shop.flows(there.name, 60)
    shop.flows("the cluster was whole again", 60)


def _through_ends_of_the_consumer(shop, seen, consumer):
    """What an operator does: close all connections, stop the consumer, and lose it."""
    with shop.during(faults.closed_connections(vhost=shop.attempt.vhost), seen) as there:
        shop.flows(there.name, 60)
    for end, name in (("terminate", "consumer ended by SIGTERM"), ("kill", "consumer killed")):
        began = Fault(name)
        seen.append(began)
        getattr(consumer[0], end)()
        if end == "terminate":
            shop.wait(lambda: shop.ended(consumer[0]), 6, "the consumer to end on SIGTERM")
        shop.flows(name, 60, what=("ok",))
        consumer[0] = shop.consume(_poisoned, within=400)
        shop.flows(f"{name}, and was started again", 60)
        began.ended = time.monotonic()


def _judge(shop, verdict, seen):
    parked = shop.parked
    assert not verdict.lost, feedback(
        saw=f"{_lost(shop, verdict)} {_when(shop, verdict.lost[0], seen) if verdict.lost else ''}",
        rule="What RabbitMQ has confirmed is on a majority of the nodes, and stays until it is acknowledged. A confirmed order that is "
        "gone was acknowledged before it was handled, or never confirmed.",
        look="What your programs did at that moment; the timeline shows it; " + HINT,
    )
    assert not verdict.counts["ready"], feedback(
        saw=f"45 s after the last order {_messages(verdict.counts['ready'])} waited in `{QUEUE}`, with a consumer there.",
        rule="A message that was fetched and is not acknowledged waits for its consumer, for as long as its channel is open.",
        look="What your consumer does after the last fault; " + HINT,
    )
    assert not verdict.unexpected, feedback(
        saw=f"handle was given {verdict.unexpected[0]}, which nobody ordered." if verdict.unexpected else "",
        rule="RabbitMQ makes up no messages.",
        look="What your producer sends, and what your consumer makes of a body",
    )
    poison = {f"order-{n}" for n in range(ORDERS) if _is_poison(n)}
    sent = set(shop.all("ok"))
    missing, innocent = sorted((poison & sent) - parked.keys()), sorted(parked.keys() - poison)
    assert not missing, feedback(
        saw=f"{missing[0]} cannot be handled, and is not in `{DEAD}`." if missing else "",
        rule="What is acknowledged leaves its queue, handled or not.",
        look="The docstring of consume, where it speaks of parking",
    )
    assert not innocent, feedback(
        saw=f"`{DEAD}` holds {innocent[0]}, which could have been handled; its reason is {parked[innocent[0]]!r}." if innocent else "",
        rule="A message whose consumer loses its connection is counted as a failed delivery, and has not failed.",
        look="By what your consumer decides that an order cannot be handled; " + HINT,
    )
    bare = sorted(id for id in parked if "cannot be handled" not in str(parked[id]))
    assert not bare, feedback(
        saw=f"`{DEAD}` holds {bare[0]} with the reason {parked[bare[0]]!r}." if bare else "",
        rule="RabbitMQ writes down that a message was rejected, and cannot know why your code rejected it.",
        look="'reason' in the docstring of consume",
    )
    assert len(verdict.duplicated) <= ORDERS // 10, feedback(
        saw=f"{len(verdict.duplicated)} of {ORDERS} orders were handled more than once.",
        rule="A message comes again when its confirm or its acknowledgement was lost: a few for each fault, and not more.",
        look="How much your consumer fetches, and what it does when it connects again",
    )


class Shop:
    """The queues, the learner's programs and the ledger of one check. Only the grader's callbacks write into the ledger."""

    def __init__(self, attempt, answer, declared=True, keep=False):
        self.attempt, self.answer = attempt, answer
        self._picture = answer.keep("timeline.svg", "Timeline of the run") if keep else None
        self._folder = tempfile.TemporaryDirectory(prefix="shop-")  # of this run: another may mark the same answer now
        self.ledger = Ledger(Path(self._folder.name, "ledger.jsonl"), sync=False)  # it must survive its writers, not the machine
        self._gate = Path(self._folder.name, "rush")
        self.parked, self._waiting, self._looked = {}, [], False
        if keep:
            self._lift_limits()
        if declared:
            self.declare()
        configure = "^$" if declared else ".*"  # an application that makes no queues needs no right to
        rights = {"configure": configure, "write": ".*", "read": ".*"}
        management.call("PUT", "permissions", attempt.vhost, attempt.user, body=rights)

    def declare(self):
        self.attempt.declare(DEAD, arguments={"x-queue-type": "quorum", "x-delivery-limit": -1})
        self.attempt.declare(QUEUE, arguments=ARGUMENTS)

    def _lift_limits(self):
        """To count connections against a limit, a node asks the others; while one is silent it waits, and so does who connects."""
        for kind, name, limits in (("vhost-limits", self.attempt.vhost, VHOST_LIMITS), ("user-limits", self.attempt.user, USER_LIMITS)):
            for limit in limits:
                management.call("DELETE", kind, name, limit)

    def url(self, port):
        return f"amqp://{self.attempt.user}:{self.attempt.password}@localhost:{port}/{self.attempt.vhost}"

    def urls(self):
        return [self.url(node.amqp) for node in NODES]

    def produce(self, orders=3, pace=0.0, urls=None, within=15, raises=()):
        """Start the producer with so many orders, or with those numbers; its value is what report was told."""
        ledger, numbers = self.ledger, range(orders) if isinstance(orders, int) else orders

        def taken():
            for n in numbers:
                self._await_order(n, pace)
                ledger.invoke(f"order-{n}")
                yield {"id": f"order-{n}", "item": "mug", "pieces": n % 5}

        def run(mine):
            told, stopping = [], _stopping()

            def report(id, outcome):
                if outcome not in OUTCOMES:
                    raise Verdict("failed", f"report was called with the outcome {outcome!r}.", look="The docstring of produce, on report")
                getattr(ledger, OUTCOMES[outcome])(id)
                if len(told) < 1000:
                    told.append((id, outcome))

            mine.production_producer.produce(urls or self.urls(), taken(), report, stopping)
            return told

        return self.answer.start(run, within=within, raises=raises, so_far=self._so_far)

    def consume(self, work=lambda order: None, urls=None, within=30, raises=()):
        """Start the consumer; its value is how many connections it left open."""
        ledger = self.ledger

        def run(mine):
            def handle(order):
                id = order.get("id", "an order without an id") if isinstance(order, dict) else f"a {type(order).__name__}"
                ledger.start(id)
                work(order)
                ledger.effect(id)

            mine.production_consumer.consume(urls or self.urls(), handle, _stopping())
            return self.attempt.left_open()

        return self.answer.start(run, within=within, raises=raises, so_far=self._so_far)

    def program(self, name):
        """Start one of the files as a program; its value is its exit status."""
        environment = {**os.environ, "AMQP_URLS": ",".join(self.urls()), "PYTHONDONTWRITEBYTECODE": "1"}

        def run(mine):
            program = subprocess.Popen([sys.executable, str(self.answer.path / name)], env=environment)
            signal.signal(signal.SIGTERM, lambda *_: program.terminate())
            return program.wait()

        return self.answer.start(run, within=60)

    def publish(self, *bodies, ids=None):
        """Put orders into the queue; the ledger has them as confirmed."""
        with pika.BlockingConnection(self.attempt.parameters()) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for n, body in enumerate(bodies):
                id = ids[n] if ids else body["id"]
                properties = pika.BasicProperties(message_id=id, delivery_mode=2, content_type="application/json")
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                channel.basic_publish(exchange="", routing_key=QUEUE, body=data, properties=properties)
                self.ledger.invoke(id)
                self.ledger.ok(id)

    def all(self, what):
        """The ids of all entries of a kind."""
        return [entry.id for entry in self.ledger.entries() if entry.what == what]

    def effects(self):
        return self.all("effect")

    def starts(self, id):
        return self.all("start").count(id)

    def told(self, what):
        """How many entries of a kind there are; cheaper than to read them."""
        return self.ledger.path.read_bytes().count(f'"what": "{what}"'.encode())

    def is_done(self, number):
        """So many different orders are handled, and nothing is left in the queue."""
        return len(set(self.effects())) >= number and _drained(self.attempt)

    def ended(self, running):
        return not running.alive

    def wait(self, condition, within, what="", tolerant=False):
        """As attempt.wait_until; a tolerant one leaves the judgement to what follows."""
        if not tolerant:
            self.attempt.wait_until(condition, within, what)
        return tolerant and self.attempt.comes_true(condition, within)

    def rush(self):
        """Let the rest of the orders come in at once."""
        self._gate.touch()

    def is_rushed(self):
        """Whether they may."""
        return self._gate.exists()

    def flows(self, when, number, within=AGAIN, what=("ok", "effect")):
        """Wait until *number* more orders are confirmed and handled, while a fault is there."""
        before, began = {kind: self.told(kind) for kind in what}, time.monotonic()
        self.wait(lambda: all(self.told(kind) >= before[kind] + number for kind in what), within, tolerant=True)
        words = {"ok": "confirmed", "effect": "handled"}
        still = [words[kind] for kind in what if self.told(kind) < before[kind] + number]
        assert not still, feedback(
            saw=f"In the {time.monotonic() - began:.0f} s after this: {when}, fewer than {number} orders were {' or '.join(still)}. "
            "A majority of the nodes was there.",
            rule="A node that is silent closes no connection: without heartbeats, time limits and other addresses its clients wait on.",
            look="Lesson 4.3, 'A silent node hurts more than a dead one'; the timeline; " + HINT,
        )

    def leader(self):
        """The node that leads the queue of orders."""
        found = []
        self.wait(lambda: bool(found.append(broker.leader(QUEUE, vhost=self.attempt.vhost)) or found[-1]), 15, f"a leader of `{QUEUE}`")
        return found[-1]

    def node_of(self, running):
        """The node that a program is connected to."""
        found = []

        def known():
            ports = {end.raddr.port for end in psutil.Process(running.pid).net_connections(kind="tcp") if end.raddr}
            found[:] = [node.name for node in NODES if node.amqp in ports]
            return bool(found)

        self.wait(known, 15, "your producer to be connected")
        return found[0]

    def lead_elsewhere(self, node, but_not):
        """Take the leadership from *node*. A healthy node passes messages on to a leader that is silent, until another is elected.

        During an election the command is refused, or does nothing; so it is run again until the other node leads.
        """
        if self.leader() != node:
            return
        other = next(each for each in NODES if each.name not in (node, but_not))
        words = ("rabbitmq-queues", "transfer_leadership", "--vhost", self.attempt.vhost, QUEUE, other.erlang_name)
        last = Mendable(f"{other.name} does not come to lead `{QUEUE}`. To see what is wrong: ./lab doctor; to put it right: ./lab heal")

        def leads():
            nonlocal last
            try:
                containers.run(other.name, *words)
            except Mendable as error:
                last = error
            return self.attempt.comes_true(lambda: self.leader() == other.name, within=3)

        if not self.attempt.comes_true(leads, within=30):
            raise last

    def follower(self):
        """A node that does not lead it."""
        return next(node.name for node in NODES if node.name != self.leader())

    @contextmanager
    def during(self, fault, seen):
        with fault as there:
            seen.append(there)
            yield there

    def take_what_is_left(self):
        """Look into both queues: what is parked with which reason, and what still waits."""
        self._looked, self.parked = True, {}
        for body, properties in self.attempt.take(DEAD):
            self.parked[_read(body).get("id", properties.message_id)] = (properties.headers or {}).get("reason")
        self._waiting = [_read(body).get("id") for body, _ in self.attempt.take(QUEUE)]

    def verdict(self):
        """What the ledger says, with what is parked and what waits."""
        if not self._looked:
            self.take_what_is_left()
        return self.ledger.verdict(dead=self.parked, ready=self._waiting)

    def draw(self, seen):
        """Save the picture of the run, however it ended."""
        title = f"{ORDERS:,} orders through a broken cluster"
        # What was still under way when a run was broken off is not lost; only one that came to its end can tell.
        found = {*self.parked, *self._waiting} if self._looked else self.all("ok")
        self.ledger.timeline(seen, self.ledger.verdict(found), title).save(self._picture)
        shutil.copyfile(self.ledger.path, self._picture.with_name("ledger.jsonl"))
        times = [{"name": fault.name, "began": fault.began, "ended": fault.ended} for fault in seen]
        self._picture.with_name("faults.json").write_text(json.dumps(times, indent=1) + "\n")

    def _await_order(self, n, pace):
        """Orders come in one after the other, and the last ones when the grader says so."""
        if pace and not self.is_rushed():
            time.sleep(pace)
            while n >= RUSH and not self.is_rushed():
                time.sleep(0.05)

    def _so_far(self):
        return f"{self.told('ok')} orders were confirmed and {self.told('effect')} handled"


def _stopping():
    """An event that SIGTERM sets."""
    stopping = threading.Event()
    # Set by another thread: this one may be inside stopping.wait(), which holds the lock that set() needs.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=stopping.set).start())
    return stopping


def _work(seconds):
    time.sleep(seconds)


def _is_poison(n):
    return n % POISON_EVERY == 17


def _poisoned(order):
    if _is_poison(int(order["id"].partition("-")[2])):
        raise ValueError(f"{order['id']} cannot be handled")


def _drained(attempt):
    found = attempt.queue(QUEUE)
    return attempt.depth(QUEUE) == 0 and found.get("messages", 0) == 0 and attempt.unacked(QUEUE) == 0


def _nobody_listens():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _read(body):
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _lost(shop, verdict):
    """What is missing, in words."""
    if verdict.lost:
        shown = ", ".join(verdict.lost[:3]) + (" and others" if len(verdict.lost) > 3 else "")
        return (
            f"Of {_count(verdict.counts['confirmed'], 'confirmed order')}, {len(verdict.lost)} were never handled and are nowhere: {shown}."
        )
    if verdict.counts["ready"]:
        return f"{_messages(verdict.counts['ready'])} stayed in `{QUEUE}`, and nobody took them."
    return f"handle was given {', '.join(verdict.unexpected[:3])}, which nobody sent."


def _when(shop, id, seen):
    """When an order was confirmed, and what was broken then."""
    at = next(entry.at for entry in shop.ledger.entries() if entry.id == id and entry.what == "ok")
    began = shop.ledger.entries()[0].at
    told = f"{id} was confirmed {at - began:.1f} s into the run"
    during = [fault.name for fault in seen if fault.began - 1 <= at <= (fault.ended or at) + 1]
    return f"{told}, around this: {', '.join(during)}." if during else f"{told}, while nothing was broken."


def _outcomes(told):
    """What report was told: "60 confirmed"."""
    counts = Counter(outcome for _, outcome in told)
    return ", ".join(f"{number} {outcome}" for outcome, number in counts.items()) or "nothing"


def _headers(headers):
    return ", ".join(sorted(headers)) or "none"


def _messages(number):
    return _count(number, "message")


def _count(number, what):
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _are(number):
    return "is" if number == 1 else "are"
