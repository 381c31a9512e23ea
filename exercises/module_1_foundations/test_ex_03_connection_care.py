"""Exercise 1.3: look after a connection."""

import contextlib
import json
import socket
import threading
from collections import Counter
from multiprocessing import Event

import pika
from pika.exceptions import AMQPError

from rabbitlab.grading import feedback, management
from rabbitlab.nodes import HOST

DAY = 30  # orders
NOON = 11  # the order before which something happens, or on which it does
LOST = "A connection that was lost never comes back by itself, and the channels on it are of no more use."
SILENCE = 6  # seconds; with a heartbeat of one second RabbitMQ gives a silent client up after three


def order(number: int) -> dict:
    """The order of this number, with a customer who orders once."""
    return {"id": number, "customer": f"customer-{number}", "items": ["lamp"]}


def test_each_order_is_sent_before_the_next(attempt, answer):
    attempt.declare("orders")
    looked = {}

    def orders():
        for number in range(1, 6):
            if number == 5:
                looked.update(ready=up_to(attempt, 4), connections=attempt.connections())
            yield order(number)

    with Door() as door:
        run = answer.run(lambda mine: (mine.send_with_care(attempt.parameters(port=door.port), orders()), looked))

    returned, looked = run.value
    assert not looked or looked["ready"] == 4, feedback(
        saw=f"When your program asked for the fifth order, {looked['ready']} of the four before it were in the queue.",
        rule="RabbitMQ keeps what was published to it. What a program keeps in its own memory ends with the program.",
        look="The docstring of your file, where it speaks of the iterator; ./lab hint 1/ex_03",
    )
    assert not looked or looked["connections"] == 1, feedback(
        saw=f"When your program asked for the fifth order, it had {counted(looked['connections'], 'connection')} open.",
        rule="To open a connection takes several questions and answers, and RabbitMQ keeps a record of each until it is closed. It is made "
        "to be opened once, and used as long as it works.",
        look="Lesson 1.5, 'Give the connection a name'; ./lab hint 1/ex_03",
    )
    assert door.knocks == 1, feedback(
        saw=f"Five orders came, and nothing happened to the line. Your program connected {door.knocks} times.",
        rule="To open a connection takes several questions and answers. One that works is good for the next order, too.",
        look="Lesson 1.5, 'Give the connection a name'; ./lab hint 1/ex_03",
    )
    judge(attempt, {"returned": returned, "error": None}, "Five orders came, and nothing happened.", count=5, look="Lesson 1.4")


def test_a_closed_connection_loses_no_order(attempt, answer):
    attempt.declare("orders")

    seen = day(attempt, answer, attempt.parameters(), at_noon=attempt.close_connections)

    judge(attempt, seen, f"RabbitMQ closed your connection before order {NOON}.", look="Lesson 1.5, 'Lose the connection'")


def test_an_idle_connection_loses_no_order(attempt, answer):
    attempt.declare("orders")

    with Door() as door:
        seen = day(attempt, answer, attempt.parameters(port=door.port, heartbeat=1), at_noon=lambda: idle(attempt, door))

    saw = f"Before order {NOON} no customer came for a while. "
    if seen["noon"] == "given up":
        saw += "RabbitMQ heard no heartbeat from your connection and gave it up."
    else:
        saw += f"After {SILENCE} s RabbitMQ still held your connection, which was to have a heartbeat of 1 s; "
        saw += "then we cut the line, as a router does."
    judge(attempt, seen, saw, look="Lesson 1.5, 'Leave it idle'")


def test_an_order_on_a_breaking_line_is_not_lost(attempt, answer):
    attempt.declare("orders")

    with Door(breaks_at=order(NOON)["customer"]) as door:
        seen = day(attempt, answer, attempt.parameters(port=door.port), after_noon=lambda: door.broken.wait(5))

    saw = f"Order {NOON} had left your program when we cut the line between it and RabbitMQ."
    judge(attempt, seen, saw, look="Lesson 1.5, 'Send again what was not confirmed'")


def test_a_broker_is_away_for_a_moment(attempt, answer):
    attempt.declare("orders")

    with Door(shut_for=2) as door:
        seen = answer.run(lambda mine: send(mine, attempt.parameters(port=door.port), (order(n) for n in (1, 2, 3)), tries=5)).value

    judge(
        attempt,
        seen,
        "We let your program try five times. The first two times RabbitMQ's port closed at once; from then on it was open.",
        look="Lesson 1.5, 'Send again what was not confirmed', at its end",
        lost="A node that restarts is away for some seconds. Until then its port refuses, or closes at once: nobody is there yet.",
        count=3,
    )


def test_it_gives_up_when_nobody_answers(attempt, answer):
    attempt.declare("orders")

    with Door(shut_for=1000) as door:
        seen = knock(attempt, answer, door, attempt.parameters(port=door.port), tries=3, most=3)

    assert door.knocks <= 3, feedback(
        saw="We let your program try three times, and RabbitMQ's port closed at once each time. It knocked a fourth time.",
        rule="A broker that does not answer now may not answer for hours. A program that goes on knocking tells nobody that orders wait.",
        look="tries, in the docstring of your file; Lesson 1.5, 'Send again what was not confirmed'",
    )
    assert seen["error"], feedback(
        saw="RabbitMQ's port closed at once each time, and no order got through; send_with_care returned "
        f"{seen['returned']!r}, without an error.",
        rule="An order without a confirm is not RabbitMQ's, and whoever gave it to you has to know.",
        look="What becomes of the last exception; Lesson 1.5, 'Know when to give up'",
    )


def test_a_wrong_password_is_tried_once(attempt, answer):
    attempt.declare("orders")
    wrong = pika.PlainCredentials(attempt.user, f"not {attempt.password}")

    with Door() as door:
        seen = knock(attempt, answer, door, attempt.parameters(port=door.port, credentials=wrong), tries=5, most=1)

    assert door.knocks <= 1, feedback(
        saw="RabbitMQ refused user and password, and your program knocked again.",
        rule="RabbitMQ gives the same login the same answer until somebody changes the account. It logs each refusal, and many of them "
        "look like somebody who guesses.",
        look="Lesson 1.5, 'Know when to give up'; ./lab hint 1/ex_03",
    )
    assert seen["error"] == "ProbableAuthenticationError", feedback(
        saw=f"RabbitMQ refused user and password; send_with_care {ended(seen)}.",
        rule="Why RabbitMQ closed a connection stands in the exception. Who calls you can mend a password, but has to hear of it.",
        look="The docstring of your file; Lesson 1.5, the table in 'Know when to give up'",
    )


def test_no_connection_is_left_at_the_end(attempt, answer):
    attempt.declare("orders")

    run = answer.run(lambda mine: (send(mine, attempt.parameters(), (order(n) for n in (1, 2))), attempt.left_open()))

    assert run.value[1] == 0, feedback(
        saw=f"send_with_care had returned, and {counted(run.value[1], 'connection')} of your program "
        f"{'was' if run.value[1] == 1 else 'were'} still open.",
        rule="A connection ends when it is closed or its program ends. A shop's program runs for months.",
        look="Lesson 1.5, 'Give the connection a name'; ./lab hint 1/ex_03",
    )


def test_no_connection_is_left_after_an_error(attempt, answer):
    attempt.declare("orders")

    def orders():
        yield order(1)
        raise TillIsOnFire("no more orders today")

    def until_fire(mine):
        try:
            mine.send_with_care(attempt.parameters(), orders())
        except TillIsOnFire:
            return True, attempt.left_open()
        return False, 0

    passed_on, left = answer.run(until_fire).value
    assert passed_on, feedback(
        saw="The iterator raised an exception after the first order, and send_with_care returned as if the day were over.",
        rule="An error of the till is no error of the connection: RabbitMQ knows nothing of it, and trying again does not mend it.",
        look="Which exceptions your program catches; Lesson 1.5, the table in 'Know when to give up'",
    )
    assert left == 0, feedback(
        saw="The iterator raised an exception after the first order. When it reached our caller, "
        f"{counted(left, 'connection')} of your program {'was' if left == 1 else 'were'} still open.",
        rule="A connection ends when it is closed or its program ends. An exception that passes by does not close it.",
        look="Lesson 1.5, 'Give the connection a name': what closed the connection there?",
    )


def test_a_connection_lost_after_the_last_order_troubles_nobody(attempt, answer):
    attempt.declare("orders")

    def orders(fire: bool):
        yield order(1)
        yield order(2)
        attempt.close_connections()
        if fire:
            raise TillIsOnFire("no more orders today")

    def evening(mine, fire: bool) -> str:
        try:
            return f"returned {mine.send_with_care(attempt.parameters(), orders(fire))!r}"
        except (TillIsOnFire, AMQPError) as error:
            return type(error).__name__

    at_the_end = answer.run(lambda mine: evening(mine, fire=False)).value
    assert at_the_end == "returned 2", feedback(
        saw=f"Two orders came and were confirmed; then RabbitMQ closed the connection, and no order followed: {at_the_end}.",
        rule="pika learns that a connection is gone when it reads, and close() reads: is_open is what pika knew, not what is.",
        look="Lesson 1.5, 'Lose the connection': what did is_open say? The docstring of your file, Returns:",
    )
    on_fire = answer.run(lambda mine: evening(mine, fire=True)).value
    assert on_fire == "TillIsOnFire", feedback(
        saw="Two orders came; then RabbitMQ closed the connection, and the iterator raised an exception of its own. Our caller got: "
        f"{on_fire}.",
        rule="An exception that is raised while another passes by takes its place; to close a connection that is lost raises one.",
        look="The docstring of your file, where it speaks of an exception of orders",
    )


class TillIsOnFire(Exception):
    """What the iterator of orders raises."""


class Door:
    """A port of our own in front of RabbitMQ. It counts who knocks, may stay shut for a while, and the line behind it can be cut.

    Args:
        shut_for: So many times it closes at once, as a load balancer does that finds no node, before it lets anybody in.
        breaks_at: When this text comes by on its way to RabbitMQ, it is not passed on, and the line is cut. Once.

    Attributes:
        port: Of the door.
        knocks: How many connections were made to it.
        broken: Set when the line has been cut at that text; seen by the answer's process, too.
    """

    def __init__(self, shut_for: int = 0, breaks_at: str = ""):
        self._shut_for, self._breaks_at = shut_for, breaks_at.encode()
        self._listener = socket.create_server((HOST, 0))
        self._lines: list[socket.socket] = []
        self.port = self._listener.getsockname()[1]
        self.knocks = 0
        self.broken = Event()

    def __enter__(self) -> "Door":
        threading.Thread(target=self._let_in, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Cut every line that is open; both ends notice."""
        while self._lines:
            hang_up(self._lines.pop())

    def _let_in(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.knocks += 1
            if self.knocks <= self._shut_for:
                client.recv(8)  # the protocol's greeting
                client.close()
                continue
            broker = socket.create_connection((HOST, management.answering().amqp))
            self._lines += [client, broker]
            for source, target, breaks_at in ((client, broker, self._breaks_at), (broker, client, b"")):
                threading.Thread(target=self._carry, args=(source, target, breaks_at), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, breaks_at: bytes) -> None:
        breaks = False
        with contextlib.suppress(OSError):  # the other direction has hung up
            while not breaks and (data := source.recv(65536)):
                breaks = bool(breaks_at) and not self.broken.is_set() and breaks_at in data
                if not breaks:
                    target.sendall(data)
        hang_up(source)
        hang_up(target)
        if breaks:
            self.broken.set()


def hang_up(line: socket.socket) -> None:
    """Close a socket, also under a thread that reads it."""
    with contextlib.suppress(OSError):  # the other end was faster
        line.shutdown(socket.SHUT_RDWR)
    line.close()


def send(mine, parameters, orders, **kwargs) -> dict:
    """Let the answer send; an error of pika is noted by its name."""
    try:
        return {"returned": mine.send_with_care(parameters, orders, **kwargs), "error": None}
    except AMQPError as error:
        return {"returned": None, "error": type(error).__name__}


def day(attempt, answer, parameters, at_noon=None, after_noon=None) -> dict:
    """Let the answer send a day's orders, with something that happens between two of them.

    Args:
        at_noon: Called here when the order of noon is asked for and the ones before it are in the queue; "noon" is what it returns.
        after_noon: Called in the answer's process when the order after that is asked for.
    """
    asked, done = Event(), Event()

    def orders():
        for number in range(1, DAY + 1):
            if number == NOON:
                asked.set()
                done.wait(SILENCE + 5)
            elif number == NOON + 1 and after_noon:
                after_noon()
            yield order(number)

    running = answer.start(lambda mine: send(mine, parameters, orders()), within=SILENCE + 9)
    attempt.wait_until(lambda: asked.is_set() or not running.alive, within=9, what=f"order {NOON} to be asked for")
    if not asked.is_set():
        never_asked(running.wait().value)
    up_to(attempt, NOON - 1)
    noon = at_noon() if at_noon else None
    done.set()
    return {**running.wait().value, "noon": noon}


def never_asked(seen: dict) -> None:
    """Say that the program ended before anything had happened to it."""
    raise AssertionError(
        feedback(
            saw=f"Before it asked for order {NOON} of {DAY}, and before anything happened, send_with_care {ended(seen)}.",
            rule="An iterator may have another order until it says that it has none.",
            look="The docstring of your file, where it speaks of the iterator; what ends your loop",
        )
    )


def ended(seen: dict) -> str:
    """How the answer ended, in words."""
    return f"raised {seen['error']}" if seen["error"] else f"returned {seen['returned']!r}, without an error"


def idle(attempt, door: Door) -> str:
    """Wait until RabbitMQ gives the silent connection up; where it does not, since heartbeats were switched off, cut the line."""
    try:
        attempt.wait_until(lambda: attempt.connections() == 0, within=SILENCE)
        return "given up"
    except TimeoutError:
        door.cut()
        return "cut"


def knock(attempt, answer, door: Door, parameters, tries: int, most: int) -> dict | None:
    """Let the answer try to connect, and watch the door; None when it was stopped, since it knocked more often than *most*."""
    running = answer.start(lambda mine: send(mine, parameters, iter([order(1)]), tries=tries), within=10)
    attempt.wait_until(lambda: door.knocks > most or not running.alive, within=11)
    if door.knocks > most and running.alive:
        running.kill()
        return None
    return running.wait().value


def up_to(attempt, number: int) -> int:
    """How many orders are ready, once *number* of them are, or after a second."""
    with contextlib.suppress(TimeoutError):
        attempt.wait_until(lambda: attempt.depth("orders") >= number, within=1)
    return attempt.depth("orders")


def judge(attempt, seen: dict, saw: str, look: str, lost: str = LOST, count: int = DAY) -> None:
    """Compare what RabbitMQ holds with the orders that came; *lost* is the rule behind an answer that ended with an error of pika."""
    arrived = [read(body) for body, _ in attempt.take("orders")]
    numbers = [a["id"] for a in arrived if is_order(a)]
    strange = [a for a in arrived if not is_order(a)]
    copies = Counter(numbers)
    assert not seen["error"], feedback(
        saw=f"{saw} Your program ended with {seen['error']}; {len(copies)} of {count} orders are in the queue.",
        rule=lost,
        look=f"{look}; ./lab hint 1/ex_03",
    )
    assert not strange, feedback(
        saw=f"{saw} A message in the queue is {str(strange[0])[:80]!r}, which is none of these orders as JSON.",
        rule="RabbitMQ carries bytes and never reads them; what they mean is between the producer and the consumer.",
        look="Lesson 1.4, 'Send orders that a program can read'",
    )
    missing = [n for n in range(1, count + 1) if n not in copies]
    assert not missing, feedback(
        saw=f"{saw} {listed(missing)} {'is' if len(missing) == 1 else 'are'} in no queue; the others are.",
        rule="RabbitMQ has a message when it has confirmed it. What was not confirmed when the connection was lost may be nowhere.",
        look=f"{look}; ./lab hint 1/ex_03",
    )
    again = [n for n, copy in copies.items() if copy > (2 if n == NOON else 1)]
    assert not again, feedback(
        saw=f"{saw} {listed(again)} came again, although RabbitMQ had {'it' if len(again) == 1 else 'them'} already.",
        rule="What RabbitMQ has confirmed outlives the connection it came by. Sent again, it is packed again.",
        look=f"{look}; ./lab hint 1/ex_03",
    )
    assert list(copies) == sorted(copies), feedback(
        saw=f"{saw} All orders arrived, in another order than they came: {listed(list(copies))}.",
        rule="A queue keeps the order in which messages reach it.",
        look=f"{look}; ./lab hint 1/ex_03",
    )
    assert seen["returned"] == count, feedback(
        saw=f"{saw} All orders are in the queue, and send_with_care returned {seen['returned']!r}.",
        rule="RabbitMQ does not report how much a producer has sent; who wants to know must count.",
        look="Returns: in the docstring of your file",
    )


def read(body: bytes):
    """What a body says as JSON; where it is no JSON, the body as text."""
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def is_order(found) -> bool:
    """True for an order as it was handed out."""
    return isinstance(found, dict) and found == order(found.get("id"))


def listed(numbers: list[int]) -> str:
    """Order numbers in words: "Orders 11, 12, 13, 14, 15 and 7 more"."""
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"{'Order' if len(numbers) == 1 else 'Orders'} {', '.join(str(n) for n in numbers[:5])}{more}"


def counted(number: int, what: str) -> str:
    """A number with its noun: "no connection", "1 connection", "2 connections"."""
    return f"{number or 'no'} {what}{'' if number in (0, 1) else 's'}"
