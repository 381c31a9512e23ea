"""Exercise 4.2: payments that fail."""

import itertools
import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from multiprocessing import Event

import pika
import pytest
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPConnectionError, AMQPError, NackError, UnroutableError

from rabbitlab import faults, stalls
from rabbitlab.grading import feedback, management
from rabbitlab.nodes import ADMIN
from rabbitlab.proxy import Proxy

DEAD = "payments.dead"
QUICK = (0.2, 0.4, 1.2)  # seconds: the delays of most checks
EARLY = 0.03  # seconds that a try may come too early: RabbitMQ counts whole milliseconds, and so do we
TRIES = 3  # rounds, until one is through in which no payment waited too long
QUIET = 1.5  # seconds without a payment
PATIENCE = 8  # seconds for what takes a fraction of one, on a machine with nothing else to do
ACK = 21  # bytes: an acknowledgement on the wire, and less than any message
LOST_NOW = (AMQPConnectionError, AMQPConnectorException, OSError, NackError, UnroutableError)  # what whoever started it starts it again for


def test_a_payment_is_charged_and_done(attempt, answer):
    book = Book({})
    lay_out(attempt)
    send(attempt, 1, 2, 3)

    running = start(attempt, answer, book)
    until(attempt, running, lambda: book.tries(1) and book.tries(2) and book.tries(3), within=PATIENCE)
    until(attempt, running, lambda: False, within=QUIET)
    running.kill()
    eventually(lambda: left_over(attempt), within=1)

    assert [book.tries(n) for n in (1, 2, 3)] == [1, 1, 1], feedback(
        saw=f"Three payments were ready, and the card company answers. charge was called for {told(book)}.",
        rule="A queue hands a message out once, and again only if it was given back or its channel was closed.",
        look="Lesson 4.2, 'Try again later, and not for ever'; ./lab hint 4/ex_02",
    )
    assert not left_over(attempt), feedback(
        saw=f"Three payments were charged. When your process had ended, {holding(attempt)}.",
        rule="A message that was not acknowledged is ready again when its connection is gone.",
        look="The docstring of your file: what is done once charge has returned?",
    )


def test_a_payment_that_cannot_succeed_is_parked_at_once(attempt, answer):
    book = Book({1: ["declined"]})
    lay_out(attempt)
    send(attempt, 1)
    send_bytes(attempt, "payment-2", b'{"id": 2, "amou')
    send(attempt, 3)

    running = start(attempt, answer, book, delays=(0.2, 30))  # whoever tries again does so once while we look
    until(attempt, running, lambda: (book.tries(3) and parked(attempt) >= 2) or book.tries(1) > 1, within=PATIENCE)
    running.kill()

    assert book.tries(1) == 1, feedback(
        saw=f"charge raised Declined for payment 1, and was called for it {times(book.tries(1))}.",
        rule="An error that says something of the message will say it again at the next try. One that says something of the world may not.",
        look="Lesson 4.2, its first lines: which two kinds of failure are there? The docstring of your file",
    )
    dead = take(attempt)
    judge_parked(
        attempt, dead, {"payment-1": told_reason(1, 1), "payment-2": None}, "Payment 1 was declined, and the body of payment 2 was cut off."
    )
    assert book.tries(3) == 1, feedback(
        saw=f"Payment 1 was declined, the body of payment 2 was cut off, and payment 3 behind them was charged {times(book.tries(3))}.",
        rule="One consumer that stops at a poison message stops everything behind it.",
        look="What your program does after it has parked a payment",
    )


def test_an_error_that_nobody_foresaw_is_let_through(attempt, answer):
    book = Book({1: ["stumble"]})
    lay_out(attempt)
    send(attempt, 1)

    running = start(attempt, answer, book, raises=(Stumbled,))
    let_through = until(attempt, running, lambda: not running.alive, within=PATIENCE)
    running.wait() if let_through else running.kill()

    assert let_through, feedback(
        saw="charge raised an exception that is neither Unavailable nor Declined, and your function did not end.",
        rule="An error that you did not foresee may be of the program, and then it is the same for every payment that comes.",
        look="The docstring of your file; which exceptions your program catches",
    )
    assert eventually(lambda: ready(attempt, "payments") == 1, within=2), feedback(
        saw=f"charge raised an exception that is neither Unavailable nor Declined. When your process had ended, {where(attempt)}.",
        rule="What was not acknowledged is ready again when its connection is closed.",
        look="The docstring of your file; what runs in your program while an exception passes",
    )


def test_a_failing_payment_is_tried_again_and_then_parked(attempt, answer):
    for _ in range(TRIES):
        book = try_both(attempt, answer)
        if not is_late(book, QUICK, grace=1):
            break  # otherwise it may be the machine that was slow, once; who waits too long does so each time

    saw = f"For payment 1 charge raised Unavailable each time; delays was {QUICK}."
    assert book.tries(1) <= 4 or parked(attempt), feedback(
        saw=f"{saw} It was called {times(book.tries(1))}, and more would have followed.",
        rule="For a message that a client has published RabbitMQ starts x-death from the beginning. What is to be known of earlier tries "
        "is written on the message by whoever publishes it.",
        look="Lesson 4.2, 'Read why it died'; how your program knows which try this is; ./lab hint 4/ex_02",
    )
    judge_pauses(book, QUICK, grace=1, saw=saw)
    assert book.tries(1) == 4, feedback(
        saw=f"{saw} It was called {times(book.tries(1))}, and {where(attempt)}.",
        rule="A first try and one more for each delay.",
        look="delays, in the docstring of your file; at which try your program stops, and why",
    )
    judge_parked(attempt, take(attempt), {"payment-1": told_reason(1, 4)}, f"{saw} It failed four times.")
    assert (book.tries(2), left_over(attempt)) == (3, {}), feedback(
        saw=f"Payment 2 failed twice, and its third try went through: charge was called for it {times(book.tries(2))}. "
        f"In the end {holding(attempt)}.",
        rule="A copy that was published and an original that was not acknowledged are two messages.",
        look="What becomes of the original once its copy is confirmed",
    )


def test_what_others_have_counted_decides_nothing(attempt, answer):
    book = Book({1: ["unavailable"]})
    lay_out(attempt)
    death = {"queue": "payments", "reason": "rejected", "count": 99, "exchange": "", "routing-keys": ["payments"]}
    send(attempt, 1, **{"x-death": [death]})

    running = start(attempt, answer, book, delays=(0.2, 0.2))
    until(attempt, running, lambda: parked(attempt) or book.tries(1) > 3, within=PATIENCE)
    running.kill()

    assert book.tries(1) == 3, feedback(
        saw=f"A payment came with an x-death that says 99, and charge raised Unavailable each time; two delays were given. It was called "
        f"{times(book.tries(1))}.",
        rule="A producer may write into the headers what it likes, x-death included.",
        look="Lesson 4.2, 'Read why it died': what does the packer read there? ./lab hint 4/ex_02",
    )


def test_the_others_flow_past_while_one_waits(attempt, answer):
    for _ in range(TRIES):
        book = let_others_come(attempt, answer)
        waited = book.times(1)[2] + 4 - EARLY if book.tries(1) > 2 else 0  # the moment when payment 1 has waited for its fourth try
        third, second = min(book.times(3), default=math.inf), min(book.times(2)[1:], default=math.inf)
        if not waited or (max(third, second) < waited and not is_late(book, (1, 2, 4), grace=0.25)):
            break  # otherwise as above

    saw = "Payment 1 had failed three times, and had to wait 4 s for its fourth try."
    assert third < waited, feedback(
        saw=f"{saw} Payment 3 came meanwhile, and charge was not called for it before that time was over.",
        rule="pika calls your code, and reads nothing more until it has come back. A program that sleeps does not consume.",
        look="Lesson 4.2, 'Try again later, and not for ever': where does a payment wait? ./lab hint 4/ex_02",
    )
    assert second < waited, feedback(
        saw=f"{saw} Payment 2 came meanwhile, failed once, and had to wait 1 s; it was not tried again before those 4 s were over.",
        rule="A queue gives up only what stands at its head, however long the lifetime of what stands behind it is over.",
        look="Lesson 4.2, 'Do not let short waits stand behind long ones'; ./lab hint 4/ex_02",
    )
    judge_pauses(book, (1, 2, 4), grace=0.25, saw="No delays were given, so those of your function's first line were in force.")
    judge_parked(attempt, take(attempt), {"payment-1": told_reason(1, 4)}, "Payment 1 failed four times, with 1, 2 and 4 s between.")


def test_a_killed_process_loses_nothing_and_starts_no_count_anew(attempt, answer):
    asked, never = Event(), Event()
    book = Book({1: ["unavailable"], 2: ["ask ok", "ok"]}, asked, never)
    lay_out(attempt)
    send(attempt, 1)

    running = start(attempt, answer, book, delays=(0.2, 5))
    until(attempt, running, lambda: book.tries(1) == 2, within=PATIENCE)
    until(attempt, running, lambda: elsewhere(attempt) and not ready(attempt, "payments"), within=0.6)
    send(attempt, 2)
    until(attempt, running, asked.is_set, within=PATIENCE)
    running.kill()
    again = start(attempt, answer, book, delays=(0.2, 5))
    until(attempt, again, lambda: parked(attempt) and book.tries(2) == 2, within=PATIENCE * 2)
    again.kill()

    saw = "We killed your process while payment 1 waited for its third and last try, and payment 2 was in charge; then we started it again."
    assert book.tries(2) == 2, feedback(
        saw=f"{saw} charge was not called for payment 2 any more, and {where(attempt)}.",
        rule="A message is RabbitMQ's until it is acknowledged. After a crash it is delivered again, marked as redelivered, done or not.",
        look="When your program acknowledges, and what it does with a message that comes again",
    )
    assert parked(attempt) or book.tries(1) > 2, feedback(
        saw=f"{saw} charge was not called for payment 1 any more, and {where(attempt)}.",
        rule="What a program keeps in its memory, a timer included, ends with the program.",
        look="Lesson 4.2, 'Try again later, and not for ever': where does a payment wait? ./lab hint 4/ex_02",
    )
    assert book.tries(1) == 3, feedback(
        saw=f"{saw} Two delays were given, and charge was called for payment 1 {times(book.tries(1))}.",
        rule="What a program keeps in its memory ends with the program. What is written on a message goes with the message.",
        look="How your program knows which try this is; ./lab hint 4/ex_02",
    )


def test_a_line_that_breaks_loses_no_payment(attempt, answer):
    for fails, moment in (("unavailable", "cut"), ("declined", "cut"), ("unavailable", "lost confirm"), ("declined", "closed")):
        attempt.wipe()
        broken_line(attempt, answer, fails, moment)


def test_a_deleted_queue_loses_no_payment(attempt, answer):
    asked, go_on = Event(), Event()
    book = Book({1: ["ask declined", "declined"]}, asked, go_on)
    lay_out(attempt)
    send(attempt, 1)

    running = start(attempt, answer, book)
    until(attempt, running, asked.is_set, within=PATIENCE)
    delete(attempt, DEAD)
    go_on.set()
    until(attempt, running, lambda: parked(attempt), within=PATIENCE / 2)
    until(attempt, running, lambda: parked(attempt) or nowhere(attempt), within=2)
    running.kill()

    saw = f"While charge was at work, {DEAD} was deleted; then it raised Declined."
    assert not nowhere(attempt), feedback(
        saw=f"{saw} When your process had ended, the payment was in no queue.",
        rule="What is published to a queue that is not there is confirmed and dropped, unless the publisher asks to be told, and waits.",
        look="Lesson 4.2, 'Try again later, and not for ever': what makes basic_publish wait, and what makes it raise?",
    )
    assert parked(attempt), feedback(
        saw=f"{saw} Your function was started again at each exception of pika's, and the payment was not parked; {holding(attempt)}.",
        rule="A queue is there after a declaration, until somebody deletes it.",
        look="Which part of your program runs at each start",
    )


@pytest.mark.faults
def test_a_killed_node_loses_no_payment(attempt, answer):
    book = Book({1: ["unavailable"], 2: ["unavailable", "ok"]})
    lay_out(attempt)
    send(attempt, 1, 2)

    running = start(attempt, answer, book, delays=(4, 4), parameters=attempt.everywhere(), within=90, forgiving=True)
    until(attempt, running, lambda: book.tries(1) and book.tries(2), within=PATIENCE)
    until(attempt, running, lambda: elsewhere(attempt), within=1)
    with faults.killed(node_of(attempt)):
        send(attempt, 3)
        until(attempt, running, lambda: parked(attempt) and book.tries(2) >= 2 and book.tries(3), within=20)
        seen = parked(attempt), book.tries(2) >= 2, bool(book.tries(3))
    running.kill()

    assert all(seen), feedback(
        saw="Payments 1 and 2 were waiting when the node that your program talked to was killed. Two nodes went on, and 20 s later "
        f"{unsettled(seen)}.",
        rule="A classic queue lives on one node, and is away as long as that node is. A quorum queue needs most of its nodes.",
        look="The docstring of your file: which kind of queue?",
    )


class Stumbled(Exception):
    """What nobody foresaw."""


class Book:
    """What charge was called with, and when, in a file: it outlives a process that is killed.

    Args:
        script: Payment to what charge does at each call: "ok", "unavailable", "declined" or "stumble"; with "ask " before it, it tells us
            first, and waits until it is told to go on. The last one goes for every later call; a payment that is not in it is "ok".
        asked: Set by "ask ".
        go_on: Waited for by "ask ".
    """

    def __init__(self, script: dict[int, list[str]], asked=None, go_on=None):
        self._script, self._asked, self._go_on = script, asked, go_on
        self._descriptor, self._path = tempfile.mkstemp(prefix="payments-")
        os.unlink(self._path)

    def charge(self, mine) -> Callable:
        """charge, as the answer is given it."""

        def charge(payment):
            number = payment["id"]
            planned = self._script.get(number, ["ok"])
            ask, outcome = planned[min(self.tries(number), len(planned) - 1)].rpartition(" ")[::2]
            os.write(self._descriptor, json.dumps({"at": time.monotonic(), "id": number, "outcome": outcome}).encode() + b"\n")
            if ask:
                self._asked.set()
                self._go_on.wait(20)
            if outcome == "unavailable":
                raise mine.Unavailable(told_reason(number, self.tries(number)))
            if outcome == "stumble":
                raise Stumbled("a mistake of ours")
            if outcome == "declined":
                raise mine.Declined(told_reason(number, self.tries(number)))

        return charge

    def tries(self, number: int) -> int:
        """How often charge was called for this payment."""
        return len(self.times(number))

    def gaps(self, number: int) -> list[float]:
        """Seconds between one try and the next."""
        return [later - earlier for earlier, later in itertools.pairwise(self.times(number))]

    def numbers(self) -> list[int]:
        """The payments that charge was called for, in order, as often as it was."""
        return [line["id"] for line in self._lines()]

    def times(self, number: int) -> list[float]:
        """When charge was called for this payment."""
        return [line["at"] for line in self._lines() if line["id"] == number]

    def _lines(self) -> list[dict]:
        size = os.fstat(self._descriptor).st_size
        return [json.loads(line) for line in os.pread(self._descriptor, size, 0).splitlines()]


def told_reason(number: int, tries: int) -> str:
    """What an exception of ours says."""
    return f"payment {number}, try {tries}: no luck with this card"


def lay_out(attempt) -> None:
    """Declare ``payments``; a payment may come back any number of times.

    When a consumer's node dies, the queue's next leader may hand payments to that consumer all the same, and keeps them for it for as long
    as x-consumer-disconnected-timeout says: 60 s by default, which no check waits.
    """
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": -1, "x-consumer-disconnected-timeout": 2000}
    attempt.declare("payments", arguments=arguments)


def send(attempt, *numbers: int, **headers) -> None:
    """Publish these payments, each with a message_id and a header of the shop's."""
    for number in numbers:
        send_bytes(attempt, f"payment-{number}", json.dumps({"id": number, "amount": 30}).encode(), **headers)


def send_bytes(attempt, message_id: str, body: bytes, **headers) -> None:
    """Publish one message to ``payments``, confirmed, over any node that answers, as a user whose connections count nowhere."""
    properties = pika.BasicProperties(
        message_id=message_id, headers={"customer": "Ada", **headers}, content_type="application/json", delivery_mode=2
    )
    with pika.BlockingConnection(attempt.everywhere(credentials=pika.PlainCredentials(*ADMIN))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish(exchange="", routing_key="payments", body=body, properties=properties, mandatory=True)


def start(attempt, answer, book: Book, delays=QUICK, parameters=None, within: float = 40, forgiving=False, raises=()):
    """Start the answer as a supervisor does: where an exception of pika's ends it, again.

    Args:
        delays: What the answer is given; None leaves it to its default.
        forgiving: Whether refusals (a queue without a majority) are a reason to start again, too.
        raises: What charge raises, and the answer is to let through.
    """
    parameters = parameters or attempt.parameters()
    again = (*LOST_NOW, AMQPError) if forgiving else LOST_NOW
    arguments = {} if delays is None else {"delays": delays}

    def supervised(mine):
        while True:
            try:
                return mine.handle_payments(parameters, book.charge(mine), **arguments)
            except again:
                time.sleep(0.1)

    return answer.start(supervised, within=within, raises=raises)


def try_both(attempt, answer) -> Book:
    """Let payment 1 fail each time, and payment 2 twice; the end is when payment 1 is parked, or has waited too long already."""
    attempt.wipe()
    book = Book({1: ["unavailable"], 2: ["unavailable", "unavailable", "ok"]})
    lay_out(attempt)
    send(attempt, 1, 2)

    running = start(attempt, answer, book, delays=QUICK)
    until(attempt, running, lambda: parked(attempt) or book.tries(1) > 4 or is_late(book, QUICK, grace=1), within=12)
    until(attempt, running, lambda: book.tries(1) > 4, within=0.3)
    running.kill()
    return book


def let_others_come(attempt, answer) -> Book:
    """Let payment 1 fail each time; two others come when it has failed three times, and one of them fails once."""
    attempt.wipe()
    book = Book({1: ["unavailable"], 2: ["unavailable", "ok"]})
    lay_out(attempt)
    send(attempt, 1)

    running = start(attempt, answer, book, delays=None, within=40)
    until(attempt, running, lambda: book.tries(1) == 3, within=12)
    send(attempt, 2, 3)
    until(attempt, running, lambda: parked(attempt) and book.tries(2) == 2 and book.tries(3), within=12)
    running.kill()
    return book


def until(attempt, running, condition: Callable[[], object], within: float) -> bool:
    """Wait for *condition*, at most *within* seconds in which the machine does not stand still; an answer that comes back is told so."""
    deadline = stalls.clock() + within
    while not condition():
        running.look()
        if not running.alive and not condition():
            returned = running.wait().value
            raise AssertionError(
                feedback(
                    saw=f"handle_payments returned {returned!r}, although its connection was there.",
                    rule="The next payment may come in an hour. A worker that has ended is not there for it, and nobody is told.",
                    look="The first line of the docstring of your file; what ends your loop",
                )
            )
        if stalls.clock() > deadline:
            return False
        time.sleep(0.05)
    return True


def eventually(condition: Callable[[], object], within: float) -> bool:
    """The same when no process of the answer's runs any more: what it held comes back in a moment."""
    deadline = stalls.clock() + within
    while not condition():
        if stalls.clock() > deadline:
            return False
        time.sleep(0.05)
    return True


def ready(attempt, queue: str) -> int:
    """Messages ready in *queue*; none where it is not there."""
    return attempt.depth(queue) if attempt.exists(queue) else 0


def parked(attempt) -> int:
    """Messages in the queue of the dead."""
    return ready(attempt, DEAD)


def elsewhere(attempt) -> dict[str, int]:
    """Queues other than ``payments`` and the dead that hold something."""
    names = [queue["name"] for queue in attempt.queues() if queue["name"] not in ("payments", DEAD)]
    return {name: held for name in names if (held := ready(attempt, name))}


def nowhere(attempt) -> bool:
    """Whether no queue has a message that is ready."""
    return not (ready(attempt, "payments") or parked(attempt) or elsewhere(attempt))


def left_over(attempt) -> dict[str, int]:
    """Queues that hold something, apart from the dead."""
    held = ready(attempt, "payments")
    return elsewhere(attempt) | ({"payments": held} if held else {})


def holding(attempt) -> str:
    """What the queues hold, in words."""
    held = {**left_over(attempt), DEAD: parked(attempt)}
    told = [f"`{name}` held {count} {'message' if count == 1 else 'messages'}" for name, count in held.items() if count]
    return "; ".join(told) or "no queue held anything"


def where(attempt) -> str:
    """Where the messages are, in words."""
    return "it is in no queue" if nowhere(attempt) else holding(attempt)


def take(attempt) -> list[tuple]:
    """What is parked."""
    return attempt.take(DEAD)


def judge_parked(attempt, dead: list[tuple], expected: dict[str, str | None], saw: str) -> None:
    """Look at what is parked: each once, with its message_id, its headers and a reason.

    Args:
        dead: Bodies and properties.
        expected: message_id to the reason that its exception gave; None where the answer finds the words.
        saw: What had happened, for the feedback.
    """
    assert len(dead) == len(expected), feedback(
        saw=f"{saw} {DEAD} holds {len(dead)}, where {len(expected)} should be; apart from it, {holding(attempt)}.",
        rule="A message that is refused for good, or acknowledged, is gone where nobody has published a copy of it.",
        look="Lesson 4.2, 'Try again later, and not for ever': the last two calls of retry_or_park; ./lab hint 4/ex_02",
    )
    found = {properties.message_id: (body, properties) for body, properties in dead}
    assert set(found) == set(expected), feedback(
        saw=f"{saw} The message_ids in {DEAD} are {sorted(map(str, found))}; the payments came with {sorted(expected)}.",
        rule="A message that is published is a new message: it has the properties that its publisher gives it, and no others.",
        look="Which properties your program publishes with; Lesson 4.2, 'Try again later, and not for ever'",
    )
    for message_id, reason in expected.items():
        body, properties = found[message_id]
        headers = properties.headers or {}
        assert headers.get("customer") == "Ada", feedback(
            saw=f"{saw} It came with the header `customer`, and lies in {DEAD} with these headers: {', '.join(sorted(headers)) or 'none'}.",
            rule="A message that is published is a new message: it has the headers that its publisher gives it, and no others.",
            look="Which headers your program publishes with",
        )
        said = headers.get("reason")
        assert said if reason is None else said == reason, feedback(
            saw=f"{saw} {message_id} lies in {DEAD}, and its header `reason` is {said!r}.",
            rule="Whoever looks at a parked payment next week has nothing but what is written on it.",
            look="What is parked, in the docstring of your file",
        )
        assert body == b'{"id": 2, "amou' or json.loads(body) == {"id": int(message_id[-1]), "amount": 30}, feedback(
            saw=f"{saw} {message_id} lies in {DEAD} with the body {body[:60]!r}.",
            rule="RabbitMQ does not change a body; a copy has the body that its publisher gives it.",
            look="The body that your program publishes",
        )


def most(delay: float, grace: float) -> float:
    """Seconds that a payment may wait where *delay* was asked for: a fifth more, and *grace*."""
    return delay * 1.2 + grace


def is_late(book: Book, delays: tuple, grace: float) -> bool:
    """Whether payment 1 waited too long between two tries, for whatever reason."""
    return any(pause > most(delay, grace) for pause, delay in zip(book.gaps(1), delays, strict=False))


def judge_pauses(book: Book, delays: tuple, grace: float, saw: str) -> None:
    """Payment 1 waited as long as it should between its tries: no shorter, and at most a fifth and *grace* seconds longer."""
    for n, (pause, delay) in enumerate(zip(book.gaps(1), delays, strict=False), 1):
        assert delay - EARLY <= pause <= most(delay, grace), feedback(
            saw=f"{saw} Between tries {n} and {n + 1} passed {pause:.2f} s.",
            rule="A message leaves its waiting queue when its lifetime, in milliseconds, is over and nothing stands before it.",
            look="delays, in the docstring of your file: which delay is it for which try?",
        )


def broken_line(attempt, answer, fails: str, moment: str) -> None:
    """Break the line between the answer and RabbitMQ while it moves a failed payment, and see where the payment is in the end.

    Args:
        fails: What charge raises, "unavailable" or "declined".
        moment: "cut": when the first bytes have left after charge, no more than an acknowledgement; "lost confirm": the copy has arrived
            and its confirm is lost; "closed": RabbitMQ closes the connection while charge is at work.
    """
    asked, go_on = Event(), Event()
    book = Book({1: [f"ask {fails}", "ok" if fails == "unavailable" else fails]}, asked, go_on)
    lay_out(attempt)
    send(attempt, 1)
    with Proxy(to=management.answering().amqp) as line:
        running = start(attempt, answer, book, delays=(0.2,), parameters=attempt.parameters(port=line.port))
        until(attempt, running, asked.is_set, within=PATIENCE)
        before = line.accepted
        if moment == "cut":
            line.cut(after=ACK, direction="to_broker")
        elif moment == "lost confirm":
            line.lose_confirm()
        else:
            attempt.close_connections(at_least=1)
        go_on.set()
        until(attempt, running, lambda: line.accepted > before, within=3)
        line.heal()
        over = (lambda: parked(attempt)) if fails == "declined" else (lambda: book.tries(1) > 1)
        safe = until(attempt, running, over, within=PATIENCE)
        running.kill()
    told = {
        "cut": "the line broke before a whole message had gone over it",
        "lost confirm": "RabbitMQ took the copy, and the line broke before its confirm came back",
        "closed": "RabbitMQ closed the connection meanwhile",
    }
    assert safe, feedback(
        saw=f"charge raised {fails.capitalize()}; {told[moment]}. Your function was started again, and {where(attempt)}.",
        rule="Between any two calls the line can break. What was acknowledged before it is gone; what was published before it is there.",
        look="Lesson 4.2, 'Try again later, and not for ever': the order of two calls; ./lab hint 4/ex_02",
    )


def node_of(attempt) -> str:
    """The node that the answer is connected to."""
    attempt.wait_until(attempt.connections, within=PATIENCE, what="your program to be connected")
    found = management.call("GET", "connections", "username", attempt.user)
    return found[0]["node"].partition("@")[2]


def delete(attempt, queue: str) -> None:
    """Delete a queue if it is there, as an operator with the wrong list does."""
    if attempt.exists(queue):
        management.call("DELETE", "queues", attempt.vhost, queue)


def unsettled(seen: tuple) -> str:
    """What had not come to its end, in words."""
    ends = ("payment 1 was not parked", "payment 2 was not charged", "payment 3, which came later, was not charged")
    return " and ".join(end for end, done in zip(ends, seen, strict=True) if not done)


def told(book: Book) -> str:
    """The payments that charge was called for, in words."""
    return ", ".join(f"payment {number}" for number in book.numbers()) or "none"


def times(number: int) -> str:
    """How often, in words."""
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number} times")
