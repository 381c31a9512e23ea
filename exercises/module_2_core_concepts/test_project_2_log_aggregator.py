"""Project 2: the log aggregator."""

import contextlib
import json
import time
import uuid
from collections import Counter
from multiprocessing import Event

import pika
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker, NackError

from rabbitlab.grading import feedback, management
from rabbitlab.grading.again import again_after_a_stall
from rabbitlab.ledger import Ledger
from rabbitlab.proxy import TO_BROKER, TO_CLIENT, Proxy

HINT = "./lab hint 2/project"
ALERTS, ARCHIVE, SCREEN, PAYMENTS = "logs.alerts", "logs.archive", "logs.screen", "logs.payments"
KINDS = {ARCHIVE: "stream", ALERTS: "quorum", SCREEN: "classic", PAYMENTS: "quorum"}
LEVELS = ("debug", "info", "warning", "error", "critical")
PATIENCE = 40  # seconds for what takes one or two, on a machine with nothing else to do
IDLE = 1.5  # seconds without a line after which the answer may go home: long for a broker that has something to send
A_MOMENT = 0.02  # seconds that notify takes
SHARE = 15  # errors of each service in the last check
LINES = 20  # that the screen keeps, where it matters to nobody; a program that declares it again by itself takes another number
MOST = 5  # connections lost in a row, with which a service gives up
LET_IN = 20_000  # bytes to the broker, many more than it takes to open a connection and a channel


def test_each_line_goes_where_it_belongs(attempt, answer):
    lines = [(level, f"{level} it is") for level in LEVELS]
    declare(attempt, answer)
    look_at_what_is_there(attempt)
    declare_again(attempt, answer)

    def day(mine):
        return [mine.service.log(attempt.parameters(), source, iter(lines)) for source in ("till", "payments")]

    logged = answer.run(day, within=PATIENCE).value

    every = Counter(f"{source}.{level}" for source in ("till", "payments") for level in LEVELS)
    expected = {
        ALERTS: Counter(key for key in every if key.endswith(("error", "critical"))),
        SCREEN: Counter(key for key in every if key.endswith(("warning", "error", "critical"))),
        PAYMENTS: Counter(key for key in every if key.startswith("payments")),
    }
    for queue, keys in expected.items():
        attempt.comes_true(lambda queue=queue, keys=keys: attempt.depth(queue) >= keys.total(), within=2)
        held = attempt.take(queue)
        found = Counter(key_of(body) for body, _ in held)
        assert found == keys, feedback(
            saw=f"`till` and `payments` each logged one line of every level. {queue} got {told(found)}.",
            rule="A topic exchange passes a message to each queue of which a binding's pattern fits the key; one copy, however many fit.",
            look="The docstrings of topology.declare and service.log: who sets the key? Lesson 2.2, 'Topic: the key is a pattern'; " + HINT,
        )
        judge_messages(held)
    found = Counter(key_of(body) for body, _ in stream(attempt))
    assert found == every, feedback(
        saw=f"`till` and `payments` each logged one line of every level. {ARCHIVE} got {told(found)}.",
        rule="A stream is bound like any other queue.",
        look="The docstring of topology.declare; " + HINT,
    )
    assert logged == [5, 5], feedback(
        saw=f"`till` and `payments` each logged five lines, and service.log returned {' and '.join(map(str, logged))}.",
        rule="RabbitMQ does not report how much a producer has sent; who wants to know must count.",
        look="Returns: in the docstring of service.log",
    )


def test_the_screen_keeps_the_newest(attempt, answer):
    def day(mine):
        mine.topology.declare(attempt.parameters(), screen=3)

    answer.run(day, within=PATIENCE)
    publish(attempt, *[("till", "error", f"line {n}") for n in range(8)])

    held = [text_of(body) for body, _ in attempt.take(SCREEN)]
    assert held == ["line 5", "line 6", "line 7"], feedback(
        saw=f"The screen was to keep 3 lines, and line 0 to line 7 came. {SCREEN} held {', '.join(held) or 'nothing'}.",
        rule="A queue has no limit unless it is given one, and a limit belongs to the queue that it is declared with.",
        look="Lesson 2.3, 'A full queue has two ways to go on'; " + HINT,
    )
    held = [text_of(body) for body, _ in attempt.take(ALERTS)]
    assert len(held) == 8, feedback(
        saw=f"Eight errors came, and {ALERTS} held {len(held)} of them.",
        rule="A limit belongs to the queue that it is declared with.",
        look="The arguments of each queue",
    )


@again_after_a_stall(IDLE)
def test_the_archive_is_read_as_often_as_one_likes(attempt, answer):
    lay_out(attempt)
    publish(attempt, *[("till" if n % 2 else "payments", "info", f"line {n}") for n in range(6)])
    more = [("till", "info", "line 5"), ("till", "info", "tea"), ("till", "info", "tea"), ("payments", "info", "line 6")]
    publish(attempt, *more, ids=["6", "7", "8", "9"])

    def read(mine):
        p = attempt.parameters()
        seen = [mine.archive.read(p, **which, idle=IDLE) for which in ({}, {}, {"first": 4}, {"source": "till"})]
        return seen, attempt.left_open()

    (first, again, late, till), left = answer.run(read, within=PATIENCE).value

    whole = [*(f"line {n}" for n in range(6)), "tea", "tea", "line 6"]
    expected = {"once": (first, whole), "a second time": (again, whole), "from offset 4": (late, whole[4:])}
    for how, (lines, texts) in {**expected, "for the source `till`": (till, ["line 1", "line 3", "line 5", "tea", "tea"])}.items():
        found = [line.get("text") if isinstance(line, dict) else str(line)[:40] for line in lines or []]
        saw = (
            "Logged were line 0 to line 5, a copy of line 5 with its message_id, two lines with the text `tea`, each with a message_id of "
            f"its own, and line 6. Read {how}, the archive said {', '.join(map(str, found)) or 'nothing'}."
        )
        assert found != list(dict.fromkeys(texts)), feedback(
            saw=saw,
            rule="Whether two messages are one line cannot be seen from their bodies: there may be tea twice. That is what an id is for.",
            look="The docstring of archive.read; lesson 2.5, 'Lie on the label'",
        )
        assert found == texts, feedback(
            saw=saw,
            rule="A stream keeps what was read. Where a consumer begins, it says each time; if it does not, it gets what comes next.",
            look="Lesson 2.3, 'Read a stream twice'; the docstring of archive.read; " + HINT,
        )
    assert left == 0, feedback(
        saw=f"archive.read had returned, the program was still running, and {left} connection{'s' * (left != 1)} of it stayed open.",
        rule="A connection is open until it is closed or its program ends.",
        look="Lesson 1.1, 'Put the order down': what ends the connection there?",
    )


@again_after_a_stall(IDLE)
def test_an_alert_is_done_when_somebody_knows(attempt, answer):
    lay_out(attempt)
    publish(attempt, *[("till", "error", f"line {n}") for n in range(4)])
    publish(attempt, ("till", "error", "line 0"), ids=["1"])

    def watch(mine):
        heard = []

        def notify(line):
            if line["text"] == "line 2" and "line 2 failed" not in heard:
                heard.append("line 2 failed")
                raise NobodyThere("the telephone rings, and nobody answers")
            heard.append(line["text"])

        let_through = False
        try:
            mine.alerts.watch(attempt.parameters(), notify, idle=IDLE)
        except NobodyThere:
            let_through = True
        before = list(heard)
        left = attempt.left_open()
        # What was in hand is ready again a moment after its connection is closed.
        attempt.comes_true(lambda: attempt.depth(ALERTS) >= 3, within=5)
        returned = mine.alerts.watch(attempt.parameters(), notify, idle=IDLE)
        return before, let_through, heard[len(before) :], returned, left

    before, let_through, after, returned, left = answer.run(watch, within=PATIENCE).value
    attempt.settle()

    saw = "line 0 to line 3 were to be told, and a copy of line 0; at line 2 notify raised an exception."
    assert let_through, feedback(
        saw=f"{saw} watch went on, or returned, as if all were well.",
        rule="An acknowledgement says that the work is done. That it failed is known to nobody, unless your program says so.",
        look="The docstring of alerts.watch; what catches exceptions in your program",
    )
    assert left == 0, feedback(
        saw=f"{saw} The exception came out of watch, the program went on, and {left} connection{'s' * (left != 1)} of it stayed open.",
        rule="What was delivered and not acknowledged is with a consumer as long as its connection is there.",
        look="Lesson 1.2, 'Leave without signing'; " + HINT,
    )
    assert {"line 2", "line 3"} <= set(after), feedback(
        saw=f"{saw} watch was called again, and told of {', '.join(after) or 'nothing'}.",
        rule="A message that was acknowledged is gone, whether somebody knows of it or not.",
        look="When your program acknowledges; lesson 1.2, 'Sign for it'; " + HINT,
    )
    assert (before, sorted(after)) == (["line 0", "line 1", "line 2 failed"], ["line 0", "line 2", "line 3"]), feedback(
        saw=f"{saw} watch told of {', '.join(before)}; called again, of {', '.join(after)}.",
        rule="What was not acknowledged is ready again when the connection is closed, and what was acknowledged is not.",
        look="The docstring of alerts.watch; when your program acknowledges",
    )
    assert returned == 3, feedback(
        saw=f"The second call told of three lines, and returned {returned!r}.",
        rule="RabbitMQ does not report how much a consumer has done; who wants to know must count.",
        look="Returns: in the docstring of alerts.watch",
    )
    held = attempt.unacked(ALERTS) + attempt.depth(ALERTS)
    assert held == 0, feedback(
        saw=f"Somebody was told of every line, and {ALERTS} still held {held}.",
        rule="What was delivered and not acknowledged is ready again when the connection is closed.",
        look="When your program acknowledges",
    )


@again_after_a_stall(IDLE)
def test_a_copy_is_told_once(attempt, answer):
    lay_out(attempt)
    publish(attempt, *[("till", "error", "the drawer is stuck")] * 3, ids=["till-1", "till-1", "till-2"])

    def watch(mine):
        heard = []
        return mine.alerts.watch(attempt.parameters(), heard.append, idle=IDLE), len(heard)

    returned, heard = answer.run(watch, within=PATIENCE).value
    held = attempt.unacked(ALERTS) + attempt.depth(ALERTS)
    saw = (
        "Two lines with the same text came, and a copy of the first, with its message_id. Somebody was told "
        f"{'once' if heard == 1 else f'{heard} times'}, and watch returned {returned!r}"
    )
    assert heard > 1 or not held, feedback(
        saw=f"{saw}; {ALERTS} held {held} afterwards.",
        rule="What was delivered is in hand until it is acknowledged, a copy that nobody needs as well; and who has in hand as many as it "
        "may is sent no other.",
        look="What your program does with a copy",
    )
    assert (heard, returned) == (2, 2), feedback(
        saw=f"{saw}.",
        rule="Whether two messages are one line cannot be seen from their bodies: two drawers may be stuck. That is what an id is for.",
        look="The docstring of alerts.watch; lesson 2.5, 'Lie on the label'",
    )
    assert held == 0, feedback(
        saw=f"Somebody was told of both lines, and {ALERTS} held {held} afterwards.",
        rule="A copy that nobody needs stays in its queue as well, until it is acknowledged.",
        look="What your program does with a copy",
    )


def test_a_service_outlives_its_connection(attempt, answer):
    lay_out(attempt)
    gates = {number: Gate() for number in (6, 9)}
    collected, hurried = Event(), Event()

    def day(mine, port):
        def lines():
            for number in range(1, 13):
                if number == 2 and not attempt.comes_true(lambda: attempt.depth(ALERTS) > 0, within=2):
                    collected.set()
                if number == 4:
                    attempt.close_connections(at_least=1)
                if number == 7:
                    hurried.set()
                if number in gates:
                    gates[number].wait()
                yield "error", f"line {number}"

        logged = mine.service.log(attempt.parameters(port=port), "till", lines())
        return logged, mine.service.log(attempt.parameters(port=port), "till", iter([("info", "line 13")])), attempt.left_open()

    with Proxy(to=management.answering().amqp) as line:
        running = answer.start(lambda mine: day(mine, line.port), within=PATIENCE * 2, raises=(AMQPConnectionError,))
        attempt.comes_true(lambda: gates[6].reached.is_set() or not running.alive, within=PATIENCE)
        line.black_hole(TO_CLIENT)
        gates[6].open.set()
        did_not_wait = attempt.comes_true(hurried.is_set, within=1)
        line.heal()
        attempt.comes_true(lambda: gates[9].reached.is_set() or not running.alive, within=PATIENCE)
        line.lose_confirm()
        gates[9].open.set()
        run = running.wait()
    held = stream(attempt)

    saw = (
        "The till logged 12 lines, and one more in a second call. Before the fourth RabbitMQ closed its connection; the confirm of the "
        "ninth was lost together with the connection."
    )
    assert not collected.is_set(), feedback(
        saw="The till was to log 12 lines. Your program asked for the second one, and 2 s later the first was in no queue.",
        rule="An iterator hands out one thing when it is asked for one. Who makes a list of it has asked for all, and of the last of them "
        "nobody knows but your program's memory.",
        look="The docstring of service.log; what your program does with `lines` before it publishes; " + HINT,
    )
    assert not run.error, feedback(
        saw=f"{saw} service.log ended with {type(run.error).__name__}, and the archive holds {len(held)} lines.",
        rule="A lost connection says nothing of the messages that RabbitMQ has confirmed, and does not come back by itself.",
        look="Exercise 1.3; the docstring of service.log; " + HINT,
    )
    assert not did_not_wait, feedback(
        saw=f"{saw} The confirm of the sixth was held back for a moment, and your program asked for the next line all the same.",
        rule="Without confirms basic_publish returns when the message has left your program, and nobody knows whether it will arrive.",
        look="Lesson 1.4: what makes a publish wait? The docstring of service.log; " + HINT,
    )
    ids = {}
    for body, properties in held:
        ids.setdefault(text_of(body), []).append(properties.message_id)
    missing = [f"line {n}" for n in range(1, 14) if f"line {n}" not in ids]
    assert not missing, feedback(
        saw=f"{saw} Not in the archive: {', '.join(missing)}.",
        rule="RabbitMQ has a message when it has confirmed it. What was not confirmed when the connection was lost may be nowhere.",
        look="Exercise 1.3: which line is in your hands when the connection is lost? " + HINT,
    )
    strangers = [text for text, found in ids.items() if len(set(found)) > 1 or not found[0]]
    assert not strangers, feedback(
        saw=f"{saw} In the archive {strangers[0] if strangers else ''} is there {len(ids.get((strangers or [''])[0], []))} times, with "
        f"the message_ids {', '.join(map(str, ids.get((strangers or [''])[0], [])))}.",
        rule="Whoever reads knows a copy by the id that it shares with the first, and by nothing else.",
        look="message_id, in the docstring of service.log: when is it made?",
    )
    shared = [name for name, times in Counter(found[0] for found in ids.values()).items() if times > 1]
    assert not shared, feedback(
        saw=f"{saw} The message_id {shared[0] if shared else ''} belongs to more than one line: "
        f"{', '.join(text for text, found in ids.items() if found[0] in shared[:1])}.",
        rule="Two lines with one id are one line and a copy of it, to whoever reads them. A program that is started again counts anew.",
        look="message_id, in the docstring of service.log: what is it made of?",
    )
    again = [text for text, found in ids.items() if len(found) > 1 and text not in ("line 4", "line 9")]
    assert not again, feedback(
        saw=f"{saw} Also there more than once: {', '.join(again)}.",
        rule="What RabbitMQ has confirmed outlives the connection that it came by.",
        look="What your program sends again, and why; " + HINT,
    )
    assert run.value == (12, 1, 0), feedback(
        saw=f"{saw} All are in the archive; service.log returned {run.value[0]!r} and {run.value[1]!r}, and {run.value[2]} "
        f"connection{'s' * (run.value[2] != 1)} of it stayed open.",
        rule="RabbitMQ does not report how much a producer has sent, and a connection is open until it is closed.",
        look="Returns: in the docstring of service.log, and its last sentence",
    )


def test_a_service_knows_when_to_give_up(attempt, answer):
    lay_out(attempt)
    wrong = pika.PlainCredentials(attempt.user, f"not {attempt.password}")

    with Proxy(to=management.answering().amqp) as line:
        error = knock(attempt, answer, line, 1, "is anybody there?", credentials=wrong)
    assert line.accepted == 1, feedback(
        saw=f"RabbitMQ refused user and password, and your program knocked {line.accepted} times.",
        rule="RabbitMQ gives the same login the same answer until somebody changes the account.",
        look="Lesson 1.5, 'Know when to give up'; " + HINT,
    )
    judge_end(error, "RabbitMQ refused user and password")

    for why, after, text, rule in (
        (
            "Each connection was cut at its first word",
            len(b"AMQP0091"),  # so much for a greeting
            "is anybody there?",
            "A broker that does not answer may be back in seconds, or in hours. Who gives up at once loses lines for a moment's sake; who "
            "never does tells nobody that lines wait.",
        ),
        (
            "Each connection was let in, and cut in the middle of the first line",
            LET_IN,
            "?" * (4 * LET_IN),
            "That a connection opens says that somebody is at the door. That a line has arrived, only its confirm says.",
        ),
    ):
        with Proxy(to=management.answering().amqp) as line:
            line.cut(after=after, direction=TO_BROKER)
            error = knock(attempt, answer, line, MOST, text)
        assert line.accepted == MOST, feedback(
            saw=f"{why}, and your program knocked {line.accepted} times{' and would have gone on' * (line.accepted > MOST)}.",
            rule=rule,
            look="The docstring of service.log, where it speaks of giving up; " + HINT,
        )
        judge_end(error, why)

    error = lose_now_and_then(attempt, answer, MOST + 1)
    assert not error, feedback(
        saw=f"The connection was lost {MOST + 1} times, each time after another line was confirmed; service.log ended with "
        f"{type(error).__name__}.",
        rule="A line that was confirmed shows that RabbitMQ is there again: what is lost after it begins another row.",
        look="The docstring of service.log, where it speaks of giving up: in a row; " + HINT,
    )


def test_nothing_is_missed_when_the_watcher_is_killed(attempt, answer, tmp_path):
    lay_out(attempt)
    ledger = Ledger(tmp_path / "told.jsonl", sync=False)
    sources = ("till", "packing", "payments")

    def notify(line):
        time.sleep(A_MOMENT)  # the work of telling somebody
        ledger.effect(line["text"])

    def heard():
        return [entry.id for entry in ledger.entries()]

    def watch(mine):
        mine.alerts.watch(attempt.parameters(), notify, idle=None)

    def serve(source):
        return lambda mine: mine.service.log(
            attempt.parameters(), source, ((("error", "debug")[n % 2], f"{source} {n}") for n in range(2 * SHARE))
        )

    watcher = answer.start(watch, within=PATIENCE * 3)
    services = [answer.start(serve(source), within=PATIENCE * 2) for source in sources]
    attempt.comes_true(lambda: len(heard()) >= SHARE, within=PATIENCE)
    watcher.kill()
    logged = [service.wait().value for service in services]
    watcher = answer.start(watch, within=PATIENCE * 3)
    every = {f"{source} {n}" for source in sources for n in range(0, 2 * SHARE, 2)}
    attempt.comes_true(lambda: every <= set(heard()), within=PATIENCE)
    attempt.comes_true(lambda: attempt.depth(ALERTS) + attempt.unacked(ALERTS) == 0, within=5)
    watcher.kill()

    saw = f"Three services logged {2 * SHARE} lines each at the same time; the watcher was killed in the middle, and started again."
    told_of = heard()
    missed = sorted(every - set(told_of))
    assert not missed, feedback(
        saw=f"{saw} Of {len(every)} errors nobody was ever told of {len(missed)}, {missed[0] if missed else ''} for one.",
        rule="What a consumer has acknowledged, or was sent with automatic acknowledgement, is not sent to the next one when it dies.",
        look="When your program acknowledges; " + HINT,
    )
    twice = sum(number - 1 for number in Counter(told_of).values())
    assert twice <= 1, feedback(
        saw=f"{saw} Somebody was told {twice} times of a line that was known already.",
        rule="What a killed consumer had in hand comes again, and it has in hand what it was sent and has not acknowledged.",
        look="How many lines your watcher has in hand, and when it acknowledges each",
    )
    ready = left_for_others(attempt, answer)
    assert ready == 2, feedback(
        saw=f"{saw} Then three more errors came, and while somebody was told of the first, {ready} of the others "
        "stayed ready for another watcher.",
        rule="A consumer is sent as much as it says that it can bear, and everything if it says nothing.",
        look="The docstring of alerts.watch: how many lines it has in hand",
    )
    archived = Counter(text_of(body) for body, _ in stream(attempt) if not text_of(body).startswith("late"))
    assert (logged, len(archived)) == ([2 * SHARE] * 3, 6 * SHARE), feedback(
        saw=f"{saw} service.log returned {logged}, and the archive holds {len(archived)} lines.",
        rule="RabbitMQ has a message when it has confirmed it.",
        look="The docstring of service.log",
    )


def left_for_others(attempt, answer) -> int:
    """How many of three errors are ready while somebody is told of the first."""
    gate = Gate()
    publish(attempt, *[("till", "error", f"late {n}") for n in range(3)], ids=["late-1", "late-2", "late-3"])
    watcher = answer.start(lambda mine: mine.alerts.watch(attempt.parameters(), lambda line: gate.wait(), idle=None), within=PATIENCE)
    attempt.comes_true(gate.reached.is_set, within=PATIENCE)
    attempt.comes_true(lambda: attempt.depth(ALERTS) == 2, within=3)
    ready = attempt.depth(ALERTS)
    watcher.kill()
    return ready


class NobodyThere(Exception):
    """What notify raises."""


class Gate:
    """Where a service waits between two lines, until the grader lets it go on."""

    def __init__(self):
        self.reached, self.open = Event(), Event()

    def wait(self) -> None:
        """Be here, and go on when it is open."""
        self.reached.set()
        self.open.wait(PATIENCE)


def declare(attempt, answer) -> None:
    """Let the learner's program declare everything, and end."""
    answer.run(lambda mine: mine.topology.declare(attempt.parameters(), screen=LINES), within=PATIENCE)


def declare_again(attempt, answer) -> None:
    """The same once more; what is there has to stay, with all that belongs to it."""
    attempt.publish(ALERTS, "left from yesterday")
    unbound = attempt.let_somebody_else_bind("logs")
    declare(attempt, answer)

    held = len(attempt.take(ALERTS))
    assert held == 1, feedback(
        saw=f"One message was waiting in {ALERTS} when topology.declare was called again with the same number; afterwards it held {held}.",
        rule="To declare a queue that is there, as it is, changes nothing; to delete it throws away what waits in it.",
        look="Which line of your program deletes or purges something",
    )
    assert not unbound(), feedback(
        saw="Somebody else had bound a queue of their own to `logs`, before topology.declare was called again with the same number; "
        "afterwards it was no longer bound.",
        rule="An exchange that is deleted takes every binding with it, whoever made it, and the one that is declared next has none. Who "
        "publishes in between gets a 404.",
        look="Lesson 2.2, 'Change your mind'; which line of your program deletes something",
    )


def look_at_what_is_there(attempt) -> None:
    """The exchange has to be there, and the four queues, each of its type."""
    assert "logs" in attempt.exchanges(), feedback(
        saw="topology.declare has returned, and RabbitMQ lists no exchange `logs`.",
        rule="An exchange is there once it is declared, in the virtual host of the connection, under exactly this name.",
        look="The docstring of topology.declare; the parameters that it connects with",
    )
    there = {queue["name"]: queue["type"] for queue in attempt.queues()}
    for name, kind in KINDS.items():
        assert there.get(name) == kind, feedback(
            saw=f"topology.declare has returned, and RabbitMQ lists {f'`{name}` as {there[name]}' if name in there else f'no `{name}`'}.",
            rule="A queue is of the type that it was declared with, for its life; where none is said, the virtual host decides.",
            look="The docstring of topology.declare; lesson 2.3, 'Three kinds, side by side'",
        )


def lay_out(attempt) -> None:
    """The topology as the contract says, for checks of what is built on it."""
    with pika.BlockingConnection(attempt.parameters()) as connection:
        channel = connection.channel()
        channel.exchange_declare(exchange="logs", exchange_type="topic", durable=True)
        for queue, keys in ((ARCHIVE, ["#"]), (ALERTS, ["*.error", "*.critical"])):
            channel.queue_declare(queue=queue, durable=True, arguments={"x-queue-type": KINDS[queue]})
            for key in keys:
                channel.queue_bind(queue=queue, exchange="logs", routing_key=key)
        screen = {"x-queue-type": KINDS[SCREEN], "x-max-length": LINES, "x-overflow": "drop-head"}
        channel.queue_declare(queue=SCREEN, durable=True, arguments=screen)
    wait_for_reader(attempt)


def publish(attempt, *lines: tuple, ids: list[str] | None = None) -> None:
    """Log these lines (source, level, text), confirmed; their ids are numbers from one unless given."""
    with pika.BlockingConnection(attempt.parameters()) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for (source, level, text), message_id in zip(lines, ids or [str(n + 1) for n in range(len(lines))], strict=True):
            body = json.dumps({"source": source, "level": level, "text": text})
            properties = pika.BasicProperties(message_id=message_id, delivery_mode=pika.DeliveryMode.Persistent)
            with contextlib.suppress(NackError):  # one of the queues refused it: the others have it
                channel.basic_publish(exchange="logs", routing_key=f"{source}.{level}", body=body, properties=properties)


def stream(attempt) -> list[tuple]:
    """Everything in the archive: bodies and properties. A message that is put behind all of it says where that ends."""
    end = str(uuid.uuid4())
    attempt.publish(ARCHIVE, end)
    wait_for_reader(attempt)
    found = []
    with pika.BlockingConnection(attempt.parameters()) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=200)
        lines = channel.consume(queue=ARCHIVE, arguments={"x-stream-offset": "first"}, inactivity_timeout=PATIENCE)
        for method, properties, body in lines:
            if method is None or body == end.encode():
                break
            channel.basic_ack(delivery_tag=method.delivery_tag)
            found.append((body, properties))
    return found


def wait_for_reader(attempt) -> None:
    """A stream that was declared a moment ago may not run yet on the node that we talk to; then it refuses who wants to read."""
    attempt.comes_true(lambda: can_be_read(attempt), within=PATIENCE)


def can_be_read(attempt) -> bool:
    """Whether the archive lets a reader in."""
    with pika.BlockingConnection(attempt.parameters()) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        try:
            channel.basic_consume(queue=ARCHIVE, on_message_callback=lambda *_: None)
        except ChannelClosedByBroker:
            return False
        return True


def knock(attempt, answer, line: Proxy, most: int, text: str, **overrides) -> BaseException | None:
    """Let a service log where nothing gets through; it is stopped when it knocks more often than *most*. The exception it ended with."""
    parameters = attempt.parameters(port=line.port, **overrides)
    lines = [("error", text)]
    running = answer.start(lambda mine: mine.service.log(parameters, "till", iter(lines)), within=PATIENCE, raises=(AMQPConnectionError,))
    attempt.comes_true(lambda: line.accepted > most or not running.alive, within=PATIENCE + 5)
    if line.accepted > most and running.alive:
        running.kill()
        return None
    return running.wait().error


def lose_now_and_then(attempt, answer, times: int) -> BaseException | None:
    """Break a service's connection so often, each time when another line of it is confirmed. The exception it ended with."""
    gates = [Gate() for _ in range(times)]

    def lines():
        yield "error", "line 1"
        for number, gate in enumerate(gates, 2):
            gate.wait()
            yield "error", f"line {number}"

    with Proxy(to=management.answering().amqp) as line:
        parameters = attempt.parameters(port=line.port)
        running = answer.start(lambda mine: mine.service.log(parameters, "till", lines()), within=PATIENCE, raises=(AMQPConnectionError,))
        for gate in gates:
            attempt.comes_true(lambda gate=gate: gate.reached.is_set() or not running.alive, within=PATIENCE)
            line.reset()
            gate.open.set()
        return running.wait().error


def judge_end(error: BaseException | None, why: str) -> None:
    """Whoever called the service has to hear that its line was not logged."""
    assert error, feedback(
        saw=f"{why}, and service.log returned as if all were well.",
        rule="A line without a confirm is not RabbitMQ's, and whoever gave it to you has to know.",
        look="What becomes of pika's exception; lesson 1.5, 'Know when to give up'",
    )


def judge_messages(held: list[tuple]) -> None:
    """Each message has the form that was agreed upon."""
    for body, properties in held:
        found = line_of(body)
        assert set(found or {}) == {"source", "level", "text"}, feedback(
            saw=f"The body of a message is {body[:80]!r}.",
            rule="RabbitMQ carries bytes and never reads them; what they mean is between producers and consumers.",
            look="The docstring of service.log",
        )
        assert properties.delivery_mode == 2, feedback(
            saw=f"A message came with delivery_mode {properties.delivery_mode}.",
            rule="In a classic queue a message that is not persistent is gone when RabbitMQ is restarted.",
            look="Lesson 2.5, 'Restart a node'; the docstring of service.log",
        )


def line_of(body: bytes) -> dict | None:
    """The line; None where the body is none."""
    try:
        line = json.loads(body)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def key_of(body: bytes) -> str:
    """Source and level of a line, with a dot between."""
    line = line_of(body) or {}
    return f"{line.get('source')}.{line.get('level')}"


def text_of(body: bytes) -> str:
    """The text of a line."""
    return str((line_of(body) or {}).get("text"))


def told(found: Counter) -> str:
    """Keys in words."""
    return ", ".join(f"{key} {number} times" if number > 1 else key for key, number in found.items()) or "nothing"
