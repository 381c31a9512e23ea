"""Exercise 2.3: change a routing table while messages flow."""

import contextlib
import threading
import time
from collections import Counter
from multiprocessing import Event

import pika
from pika.exceptions import AMQPError, NackError

from rabbitlab import stalls
from rabbitlab.grading import feedback, management
from rabbitlab.proxy import Proxy

A, B, LOST = "desk.a", "desk.b", "returns.lost"
TABLE = {"small": A, "large": A, "damaged": B}
UNKNOWN = "smal"  # a key that is in no table
SLOW = 0.04  # seconds that the answer's line takes in each direction at least, so that time passes between its calls
SLOWEST = 0.1  # and at most, where the till needs long for a return: an answer has thirty seconds
BETWEEN = 5  # returns, two of them `small`, that the till should get through between what one call changes and what the next one does
BEFORE, AFTER = 20, 20  # messages that the till publishes before the move begins, and after it has ended
PATIENCE = 10  # seconds for what takes one, on a machine with nothing else to do
PATTERNS = "Lesson 2.4, 'Say which questions a desk wants'"
UNBIND = "Lesson 2.4, 'Unbind while questions keep coming'"
STAND_IN = "Lesson 2.4, 'Catch what nobody wants'"
ASTRAY = (
    "What fits no binding of an exchange goes to its alternate exchange, with the key that it has. What that makes of the key its own type "
    "decides: a fanout exchange does not look at it, and passes on everything that comes."
)


def test_each_return_reaches_its_desk(attempt, answer):
    lay_out(attempt, answer)

    seen = publish(attempt, *TABLE)
    for key, desk in TABLE.items():
        assert seen[key] == {desk: 1}, feedback(
            saw=f"A return with the key `{key}` reached {places(seen[key])}.",
            rule="A message goes to each queue of which a binding fits, one copy to each. In a pattern `#` fits every key.",
            look=f"{PATTERNS}; the docstring of your file; ./lab hint 2/ex_03",
        )
    publish_one(attempt, "small")
    unbound = attempt.let_somebody_else_bind(*sorted(attempt.exchanges()))
    lay_out(attempt, answer)
    held = contents(attempt)
    assert held == {A: Counter(small=1)}, feedback(
        saw=f"A return was waiting in `{A}` when lay_out() was called again with the same table. Afterwards {holding(held)}.",
        rule="To declare a queue that is there, as it is, changes nothing; to delete it throws away what waits in it.",
        look="Which line of your program deletes or purges something",
    )
    gone = unbound()
    assert not gone, feedback(
        saw="Somebody else had bound a queue of their own to each of your exchanges, before lay_out() was called again with the same "
        f"table; afterwards it was no longer bound to {' and '.join(f'`{name}`' for name in gone)}.",
        rule="An exchange that is deleted takes every binding with it, whoever made it, and the one that is declared next has none. Who "
        "publishes in between gets a 404.",
        look="Lesson 2.2, 'Change your mind'; which line of your program deletes something",
    )


def test_a_key_that_is_not_in_the_table_is_kept(attempt, answer):
    lay_out(attempt, answer)

    for key in (UNKNOWN, "small.and.heavy", ""):
        seen = publish(attempt, key)
        called = f"the key `{key}`" if key else "an empty key"
        assert seen[key] == {LOST: 1}, feedback(
            saw=f"A return with {called}, which is not in the table, reached {places(seen[key])}.",
            rule="What fits no binding is confirmed and dropped, unless the publisher asks to be told, or the exchange was declared with "
            "another one to pass it on to. An argument whose name RabbitMQ does not know is taken, and does nothing.",
            look=f"{STAND_IN}; the arguments of your exchange_declare, letter by letter; ./lab hint 2/ex_03",
        )


def test_a_row_moves(attempt, answer):
    lay_out(attempt, answer)
    publish_one(attempt, "small")
    publish_one(attempt, UNKNOWN)
    move(attempt, answer)

    held = contents(attempt)
    saw = f"A return was waiting in `{A}`, and one with a misspelt key in `{LOST}`. When move() had returned, {holding(held)}."
    assert held.get(LOST) == Counter({UNKNOWN: 1}), feedback(
        saw=saw,
        rule="What is acknowledged is gone, whatever its key was.",
        look="move, in the docstring of your file; what your program takes from a queue, and what it does with what it does not need",
    )
    assert held == {A: Counter(small=1), LOST: Counter({UNKNOWN: 1})}, feedback(
        saw=saw,
        rule="A binding decides where a message goes at the moment when it is published. What is in a queue stays until it is taken.",
        look="move, in the docstring of your file: what becomes of what waits?",
    )
    seen = publish(attempt, *TABLE, UNKNOWN)
    assert seen["small"] == {B: 1}, feedback(
        saw=f"`small` was moved from `{A}` to `{B}`. The next return with this key reached {places(seen['small'])}.",
        rule="Each binding stays until it is removed. To bind a queue adds a row, and takes none away.",
        look=f"{UNBIND}; ./lab hint 2/ex_03",
    )
    assert seen[UNKNOWN] == {LOST: 1}, feedback(
        saw=f"`small` was moved from `{A}` to `{B}`. Then a return with the key `{UNKNOWN}` reached {places(seen[UNKNOWN])}.",
        rule=ASTRAY,
        look="What your program leaves behind, or takes away; the types of your exchanges",
    )
    for key, desk in (("large", A), ("damaged", B)):
        assert seen[key] == {desk: 1}, feedback(
            saw=f"`small` was moved from `{A}` to `{B}`. Then a return with the key `{key}` reached {places(seen[key])}.",
            rule="A binding is known by its exchange, its queue and its key. A queue that is deleted takes all of its bindings with it.",
            look="Which bindings your program removes, and which queues",
        )


def test_nothing_is_lost_and_nothing_twice(attempt, answer):
    lay_out(attempt, answer)

    with Till(attempt) as till, Proxy(to=management.answering().amqp) as line:
        running, go = start(attempt, answer, line, [("small", A, B)])
        till.open(go, line, SLOW)
        till.close_after(attempt, running)

    judge(attempt, till, f"While a till published returns, `small` was moved from `{A}` to `{B}`.")


def test_it_moves_back_again(attempt, answer):
    lay_out(attempt, answer)

    with Till(attempt) as till, Proxy(to=management.answering().amqp) as line:
        running, go = start(attempt, answer, line, [("small", A, B), ("small", B, A), ("small", A, B)])
        till.open(go, line, SLOW)
        till.close_after(attempt, running)

    saw = f"While a till published returns, `small` was moved from `{A}` to `{B}`, back, and again to `{B}`."
    judge(attempt, till, saw)
    seen = publish(attempt, "small", UNKNOWN)
    assert (seen["small"], seen[UNKNOWN]) == ({B: 1}, {LOST: 1}), feedback(
        saw=f"{saw} The next one with this key reached {places(seen['small'])}, one with the key `{UNKNOWN}` {places(seen[UNKNOWN])}.",
        rule="Each binding stays until it is removed.",
        look="What your program leaves behind",
    )


def test_a_move_that_was_killed_is_ended_by_the_next(attempt, answer):
    lay_out(attempt, answer)

    for moment in ("changed", "taken away"):
        with Till(attempt) as till, Proxy(to=management.answering().amqp) as line:
            running, go = start(attempt, answer, line, [("small", A, B)])
            till.open(go, line, SLOW * 3)
            kill_when(attempt, running, moment)
            till.misspell.set()
            till.goes_on(AFTER)
            running, go = start(attempt, answer, line, [("small", A, B)])
            go.set()
            till.close_after(attempt, running)
        saw = f"While a till published returns, move() was killed in the middle, and called again to move `small` from `{A}` to `{B}`."
        judge(attempt, till, saw)
        answer.run(lambda mine: mine.move(attempt.parameters(), "small", B, A))


def test_no_connection_is_left_open(attempt, answer):
    def lay_out_and_look(mine):
        mine.lay_out(attempt.parameters(), TABLE)
        laid = attempt.left_open()
        mine.move(attempt.parameters(), "small", A, B)
        return laid, attempt.left_open()

    laid, moved = answer.run(lay_out_and_look).value
    called = "lay_out()" if laid else "move()"
    assert (laid, moved) == (0, 0), feedback(
        saw=f"{called} had returned, the program was still running, and {laid or moved} connection{'s' * ((laid or moved) != 1)} of it "
        "stayed open.",
        rule="A connection is open until it is closed or its program ends.",
        look="Lesson 1.1, 'Put the order down': what ends the connection there?",
    )


class Till:
    """Publishes one return after the other, each confirmed, and remembers them. Every fifth has a key that is not in the table.

    Attributes:
        published: The number and the key of each return that RabbitMQ has confirmed.
        misspell: Set it, and the next return has such a key, too.
    """

    def __init__(self, attempt):
        self._attempt = attempt
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._publish, daemon=True)
        self._trouble: Exception | None = None
        self.published: list[tuple[int, str]] = []
        self.misspell = threading.Event()

    def __enter__(self) -> "Till":
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def open(self, go, line: Proxy, least: float) -> None:
        """Begin, and let the answer begin a little later, over a line that is slow enough for this till, and not faster than *least*."""
        began = stalls.clock()
        self._thread.start()
        self.goes_on(BEFORE)
        pace = (stalls.clock() - began) / BEFORE
        line.delay(max(least, min(BETWEEN * pace, SLOWEST)))
        go.set()

    def goes_on(self, number: int) -> None:
        """Wait until so many more returns are published."""
        until = len(self.published) + number
        deadline = time.monotonic() + PATIENCE
        while len(self.published) < until and not self._trouble and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not self._trouble, feedback(
            saw=f"A till published to `returns`, and RabbitMQ said: {self._trouble}.",
            rule="Who publishes to an exchange that is not there has its channel closed, with 404.",
            look="Which exchanges your program deletes",
        )

    def close_after(self, attempt, running) -> None:
        """Go on until the answer has returned, and a little longer. After each change of a binding one more key is misspelt."""
        before = bindings(attempt)
        while running.alive:
            now = bindings(attempt)
            if now != before:
                self.misspell.set()
            before = now
            time.sleep(0.01)
        running.wait()
        self.goes_on(AFTER)
        self._over.set()
        self._thread.join()

    def _publish(self) -> None:
        try:
            with pika.BlockingConnection(self._attempt.parameters()) as connection:
                channel = connection.channel()
                channel.confirm_delivery()
                while not self._over.is_set():
                    number = len(self.published)
                    key = ("small", "damaged", "small", "large", UNKNOWN)[number % 5]
                    if self.misspell.is_set():
                        self.misspell.clear()
                        key = UNKNOWN
                    with contextlib.suppress(NackError):  # refused, as when a queue ends at this moment: the same one again
                        channel.basic_publish(exchange="returns", routing_key=key, body=str(number))
                        self.published.append((number, key))
                    wait_for_a_customer()
        except AMQPError as error:
            self._trouble = error


def wait_for_a_customer() -> None:
    """What a till does most of the time."""
    time.sleep(0.004)


def lay_out(attempt, answer) -> None:
    """Let the learner's program lay out the table; then its exchange and its queues have to be there."""
    answer.run(lambda mine: mine.lay_out(attempt.parameters(), dict(TABLE)))
    queues = [queue["name"] for queue in attempt.queues()]
    missing = [] if "returns" in attempt.exchanges() else ["exchange `returns`"]
    missing += [f"queue `{name}`" for name in (A, B, LOST) if name not in queues]
    assert not missing, feedback(
        saw=f"lay_out() has returned and your program has ended. There is no {' and no '.join(missing)}.",
        rule="A queue or an exchange is there from its declaration until it is deleted, or until its connection is closed if it was "
        "exclusive to that.",
        look="The names in the docstring of your file, and the arguments of your declarations",
    )


def move(attempt, answer) -> None:
    """Let the learner's program move the row, with nobody publishing."""
    answer.run(lambda mine: mine.move(attempt.parameters(), "small", A, B))


def start(attempt, answer, line: Proxy, moves: list[tuple]):
    """Start a program that moves these rows one after the other over a slow line, once it is told to."""
    go = Event()
    parameters = attempt.parameters(port=line.port)

    def when_told(mine):
        go.wait(PATIENCE * 2)
        for key, source, target in moves:
            mine.move(parameters, key, source, target)

    return answer.start(when_told, within=PATIENCE * 3), go


def kill_when(attempt, running, moment: str) -> None:
    """Kill the answer when it has changed a binding, or when it has taken the old row away; one that is done before is not killed."""
    before = bindings(attempt)
    deadline = time.monotonic() + PATIENCE
    while running.alive and time.monotonic() < deadline:
        now = bindings(attempt)
        if ("returns", A, "small") not in now or (moment == "changed" and now != before):
            break
    running.kill()


def bindings(attempt) -> set[tuple]:
    """The bindings that are there now, without those of the default exchange."""
    found = management.call("GET", "bindings", attempt.vhost)
    return {(b["source"], b["destination"], b["routing_key"]) for b in found if b["source"]}


def publish(attempt, *keys: str) -> dict[str, dict]:
    """Publish a return with each of these keys to an empty shop: the queues that it reached, and how often."""
    contents(attempt)
    for key in keys:
        publish_one(attempt, key)
    held = contents(attempt)
    return {key: {queue: found[key] for queue, found in held.items() if found[key]} for key in keys}


def publish_one(attempt, key: str) -> None:
    """Publish one return, whose body is its key."""
    with pika.BlockingConnection(attempt.parameters()) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish(exchange="returns", routing_key=key, body=key or "no key")


def contents(attempt) -> dict[str, Counter]:
    """Take everything out of all queues: the bodies that each queue held, counted; a queue that held none is left out."""
    held = {}
    with pika.BlockingConnection(attempt.parameters()) as connection:
        channel = connection.channel()
        for name in [queue["name"] for queue in attempt.queues()]:
            while (found := channel.basic_get(queue=name, auto_ack=True))[0]:
                held.setdefault(name, Counter())[found[2].decode().replace("no key", "")] += 1
    return held


def judge(attempt, till: Till, saw: str) -> None:
    """Compare what the queues hold with what the till has published."""
    held = contents(attempt)
    wrong = {"nowhere": [], "astray": [], "twice": [], "lost": [], "strange": []}
    for number, key in till.published:
        at = {queue: found[str(number)] for queue, found in held.items() if found[str(number)]}
        allowed = (A, B) if key == "small" else (TABLE.get(key, LOST),)
        if not at:
            wrong["nowhere"].append(number)
        elif key == UNKNOWN and set(at) != {LOST}:
            wrong["astray"].append(number)
        elif sum(at.values()) > 1:
            wrong["twice"].append(number)
        elif LOST in at and key != UNKNOWN:
            wrong["lost"].append(number)
        elif set(at) - set(allowed):
            wrong["strange"].append(number)
    many = len(till.published)
    assert not wrong["nowhere"], feedback(
        saw=f"{saw} Of {many} returns, {count(wrong['nowhere'])} in no queue.",
        rule="What is published while no binding fits goes to the alternate exchange, and nowhere if that has none that fits either. What "
        "is in a queue goes with the queue.",
        look=f"Which bindings and which queues are there after each line of your program; {STAND_IN}; ./lab hint 2/ex_03",
    )
    assert not wrong["astray"], feedback(
        saw=f"{saw} Some had the key `{UNKNOWN}`, which is not in the table. Of these {count(wrong['astray'])} not in `{LOST}`, or not "
        "there alone.",
        rule=ASTRAY,
        look="The types of your exchanges, and which of them has which bindings after each line of your program; ./lab hint 2/ex_03",
    )
    assert not wrong["twice"], feedback(
        saw=f"{saw} Of {many} returns, {count(wrong['twice'])} in more than one place, or twice in one.",
        rule="As long as two bindings fit, a message goes to both queues. Between any two calls of yours a hundred may be published.",
        look="Which bindings are there after each line of your program; ./lab hint 2/ex_03",
    )
    assert not wrong["lost"], feedback(
        saw=f"{saw} Of {many} returns, {count(wrong['lost'])} in `{LOST}`, although their keys are in the table.",
        rule="As long as no binding fits, a message goes to the alternate exchange. Between any two calls a hundred may be published.",
        look="Which bindings are there after each line of your program, those of the alternate exchange too; ./lab hint 2/ex_03",
    )
    assert not wrong["strange"], feedback(
        saw=f"{saw} Of {many} returns, {count(wrong['strange'])} in a queue that is neither of these desks' nor that of their row.",
        rule="What is in a queue stays there until a consumer takes it.",
        look="The queues that your program declares, and what becomes of what is in them",
    )


def count(numbers: list[int]) -> str:
    """How many, with a verb: "1 is", "7 are"."""
    return f"{len(numbers)} {'is' if len(numbers) == 1 else 'are'}"


def places(at: dict) -> str:
    """Queues in words."""
    return " and ".join(f"`{queue}`" + (f" {times} times" if times > 1 else "") for queue, times in at.items()) or "no queue"


def holding(held: dict[str, Counter]) -> str:
    """What queues hold, in words."""
    told = [f"`{queue}` held {', '.join(f'{n} `{key}`' for key, n in sorted(found.items()))}" for queue, found in held.items()]
    return "; ".join(told) or "no queue held anything"
