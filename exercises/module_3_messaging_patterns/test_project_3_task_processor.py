"""Project 3: the task processor."""

import json
import os
import resource
import tempfile
import time
from collections import Counter
from multiprocessing import Event

import pika
from pika.exceptions import UnroutableError

from rabbitlab.grading import feedback, management
from rabbitlab.grading.again import again_after_a_stall
from rabbitlab.proxy import TO_CLIENT, Proxy

HINT = "./lab hint 3/project"
INVOICES, FAILED, RESULTS = "invoices", "invoices.failed", "invoices.results"
PRIORITIES = {"now": 9, "today": 5, "whenever": 1}
PATIENCE = 40  # seconds for what takes one or two, on a machine with nothing else to do
IDLE = 1.5  # seconds of silence after which the answer may go home: long for a broker that has something to send
A_MOMENT = 0.02  # seconds that printing takes
SHARE = 15  # invoices of each desk in the last check
TOO_OFTEN = 8  # times that an invoice is tried, after which a program is stopped that would go on for ever
LABEL = {  # what is behind each property, and where to look
    "message_id": (
        "Whoever reads knows two copies of a message by their message_id. It is what the publisher wrote; RabbitMQ makes up none.",
        "lesson 2.5, 'Lie on the label'",
    ),
    "priority": (
        "RabbitMQ sorts by the priority, which is what the publisher of this message wrote, be it an order or a copy.",
        "lesson 2.5, 'Let some go first'",
    ),
    "delivery_mode": (
        "A message is persistent when its publisher says so. A quorum queue keeps it either way; a classic one, into which somebody may "
        "move it some day, loses it with its node.",
        "lesson 2.5, 'Restart a node'",
    ),
}


def invoice(number, urgency: str = "today") -> dict:
    """The invoice of this number."""
    return {"id": str(number), "customer": f"customer {number}", "total": "79.90", "urgency": urgency}


def test_the_desk_says_how_urgent_it_is(attempt, answer):
    given = [invoice(1, "whenever"), invoice(2, "now"), invoice(3)]

    def day(mine):
        p = attempt.parameters()
        mine.topology.declare(p)
        mine.topology.declare(p)
        return mine.desk.order(p, iter(given)), attempt.left_open()

    ordered, left = answer.run(day, within=PATIENCE).value
    there = {queue["name"]: queue["type"] for queue in attempt.queues()}
    for name in (INVOICES, FAILED, RESULTS):
        assert there.get(name) == "quorum", feedback(
            saw=f"topology.declare has returned, and RabbitMQ lists {f'`{name}` as {there[name]}' if name in there else f'no `{name}`'}.",
            rule="A queue is of the type that it was declared with, for its life; where none is said, the virtual host decides.",
            look="The docstring of topology.declare; lesson 2.3, 'Three kinds, side by side'",
        )
    attempt.comes_true(lambda: attempt.depth(INVOICES) >= len(given), within=2)
    held = attempt.take(INVOICES)

    saw = f"A desk ordered {len(given)} invoices."
    bodies = [found for body, _ in held if (found := read(body))]
    assert sorted(bodies, key=lambda found: str(found.get("id"))) == given, feedback(
        saw=f"{saw} `{INVOICES}` held {counted(len(held), 'message')}: {', '.join(str(body)[:60] for body, _ in held) or 'none'}.",
        rule="RabbitMQ carries bytes and never reads them; what they mean is between producers and consumers.",
        look="The docstring of desk.order",
    )
    for body, properties in held:
        judge_label(properties, read(body), f"{saw} One of them")
    assert (ordered, left) == (len(given), 0), feedback(
        saw=f"{saw} desk.order returned {ordered!r}, and {counted(left, 'connection')} of it stayed open.",
        rule="RabbitMQ does not report how much a producer has sent, and a connection is open until it is closed.",
        look="Returns: in the docstring of desk.order, and its last sentence before Args:",
    )


@again_after_a_stall(IDLE)
def test_an_urgent_invoice_overtakes(attempt, answer):
    lay_out(attempt)
    ledger, gate = Ledger(), Gate()
    hand_in(attempt, *[invoice(number) for number in (1, 2, 3, 4)])

    def work(mine):
        def print_invoice(found):
            if found["id"] == "1":
                gate.wait()
            ledger.note(found["id"])

        return mine.printer.work(attempt.parameters(), print_invoice, idle=IDLE), attempt.left_open()

    running = answer.start(work, within=PATIENCE * 2)
    attempt.comes_true(lambda: gate.reached.is_set() or not running.alive, within=PATIENCE)
    hand_in(attempt, invoice(5, "now"))
    gate.open.set()
    returned, left = running.wait().value
    printed = ledger.ids()

    saw = "Invoices 1 to 4 waited, and while 1 was printed, 5 came, and was urgent."
    assert sorted(printed) == ["1", "2", "3", "4", "5"], feedback(
        saw=f"{saw} Printed: {', '.join(printed) or 'none'}.",
        rule="A consumer gets what is ready, one delivery after the other, for as long as it asks.",
        look="The docstring of printer.work: when does it return?",
    )
    assert printed == ["1", "5", "2", "3", "4"], feedback(
        saw=f"{saw} Printed, in this order: {', '.join(printed)}.",
        rule="Priority sorts what waits in the queue. What was sent to a consumer ahead of its turn is not called back.",
        look="How many your printer has in hand, and when it acknowledges: then the next one is sent. Lesson 2.5, 'Let some go first'; "
        + HINT,
    )
    judge_results(attempt, {number: ("printed", 1) for number in printed}, saw)
    judge_rest(attempt, saw)
    assert (returned, left) == (5, 0), feedback(
        saw=f"{saw} All were printed; printer.work returned {returned!r}, and {counted(left, 'connection')} of it stayed open.",
        rule="RabbitMQ does not report how much a consumer has done, and a connection is open until it is closed.",
        look="Returns: in the docstring of printer.work, and its last sentence before Args:",
    )


@again_after_a_stall(IDLE)
def test_a_jam_does_not_hold_up_the_others(attempt, answer):
    lay_out(attempt)
    hand_in(attempt, *[invoice(number) for number in (1, 2, 3)])

    tried = print_all(attempt, answer, jams={"1": 1})

    saw = "Invoices 1 to 3 waited; 1 jammed at its first attempt, and at no other."
    assert tried == ["1", "2", "3", "1"], feedback(
        saw=f"{saw} Tried, in this order: {', '.join(tried)}.",
        rule="What is given back to a queue comes again at once, before what waits behind it. What is published goes to the end.",
        look="The docstring of printer.work: what becomes of an invoice that has jammed? " + HINT,
    )
    judge_results(attempt, {"1": ("printed", 2), "2": ("printed", 1), "3": ("printed", 1)}, saw)
    judge_rest(attempt, saw)


@again_after_a_stall(IDLE)
def test_three_attempts_are_enough(attempt, answer):
    lay_out(attempt)
    hand_in(attempt, invoice(1), invoice(3))
    hand_in(attempt, invoice(2), headers={"attempt": 3})

    tried = Counter(print_all(attempt, answer, jams={"1": 99, "2": 99}))
    times = ", ".join(f"{number} {counted(tried[number], 'time')}" for number in sorted(tried))

    saw = (
        "Invoice 1 jammed each time. So did invoice 2, which two other printers had tried before: it came with the header `attempt` 3. "
        "Invoice 3 did not jam."
    )
    assert tried == {"1": 3, "2": 1, "3": 1}, feedback(
        saw=f"{saw} Your printer tried {times or 'none'}{', and would have gone on' * (max(tried.values(), default=0) > TOO_OFTEN)}.",
        rule="An invoice may be tried by another printer each time, and none remembers what another has seen. What is to be known of a "
        "message has to be written on it.",
        look="The header `attempt`, in the docstring of printer.work; " + HINT,
    )
    held = attempt.take(FAILED)
    assert sorted((properties.message_id for _, properties in held), key=str) == ["1", "2"], feedback(
        saw=f"{saw} `{FAILED}` held {counted(len(held), 'message')}: {', '.join(str(body)[:60] for body, _ in held) or 'none'}.",
        rule="A queue has what was published to it, under the label that it was published with.",
        look="The docstring of printer.work: what becomes of an invoice that has jammed for the third time? " + HINT,
    )
    way = {
        "2": f"The copy in `{FAILED}` of invoice 2, which was copied once",
        "1": f"Invoice 2 was copied once, and has its label still. Invoice 1 was copied into `{INVOICES}` twice, and then into `{FAILED}`; "
        "what is there",
    }
    for body, properties in sorted(held, key=lambda found: found[1].message_id, reverse=True):
        number, headers = properties.message_id, properties.headers or {}
        judge_label(properties, invoice(number), f"{saw} {way[number]}")
        expected = {"attempt": 3, "reason": f"jam over {number}"}
        assert (read(body), {key: headers.get(key) for key in expected}) == (invoice(number), expected), feedback(
            saw=f"{saw} The text of the jam was `jam over {number}`. In `{FAILED}` is {body[:80]!r}, with the headers {headers}.",
            rule="Whoever looks into this queue some day knows of a message what is written on it, and nothing else.",
            look="The docstring of printer.work: the third of the three ways to go on",
        )
    judge_results(attempt, {"1": ("failed", 3), "2": ("failed", 3), "3": ("printed", 1)}, saw)
    judge_rest(attempt, saw)


def test_no_invoice_leaves_before_what_follows_is_confirmed(attempt, answer):
    lay_out(attempt)
    ways = {
        "was printed": (RESULTS, {}, False),
        "jammed at its first attempt": (INVOICES, {}, True),
        "jammed at its third attempt": (FAILED, {"attempt": 3}, True),
    }
    for what, (queue, headers, jams) in ways.items():
        hand_in(attempt, invoice(1), headers=headers)
        arrived, held = hold_back_confirms(attempt, answer, jams, queue)

        saw = f"An invoice {what}, and RabbitMQ's next confirm was held back; then the printer was killed."
        originals = [1 for _, properties in held if (properties.headers or {}).get("attempt") == headers.get("attempt")]
        assert originals, feedback(
            saw=f"{saw} The invoice, as it was in hand, was not ready again in `{INVOICES}`"
            f"{', which held a copy of it' * (len(held) > 0)}.",
            rule="What was acknowledged is gone; what was published is RabbitMQ's when it has confirmed it. Between the two, in the wrong "
            "order, is a moment in which nobody has it.",
            look="Which comes first in your program, the publish or the acknowledgement, and what has RabbitMQ said in between? "
            "Lesson 1.2, 'The producer gets a receipt'; " + HINT,
        )
        copies = [found for found in held if (found[1].headers or {}).get("attempt") != headers.get("attempt")]
        if queue == INVOICES and arrived:
            for body, properties in copies:
                judge_label(properties, invoice(1), f"{saw} The copy in `{INVOICES}`")
                found = (read(body), (properties.headers or {}).get("attempt"))
                assert found == (invoice(1), 2), feedback(
                    saw=f"{saw} The copy in `{INVOICES}` has the body {body[:80]!r}, and the headers {properties.headers}.",
                    rule="A copy is a message of its own: it has what you give it, and nothing of what the original had.",
                    look="The docstring of printer.work: what a copy has; lesson 2.5, 'Lie on the label'",
                )
        for name in (INVOICES, FAILED, RESULTS):
            attempt.take(name)


@again_after_a_stall(IDLE)
def test_an_invoice_that_was_ordered_twice_is_printed_once(attempt, answer):
    lay_out(attempt)
    hand_in(attempt, invoice(1), invoice(2), invoice(1))
    hand_in(attempt, invoice(3), invoice(3), headers={"attempt": 3})

    tried = print_all(attempt, answer, jams={"3": 99})

    saw = (
        "Invoices 1, 2, and 1 again waited, all at their first attempt; then 3, twice, at its third, which jammed. They were ordered twice "
        "under one message_id, and one printer worked."
    )
    assert tried == ["1", "2", "3"], feedback(
        saw=f"{saw} Tried, in this order: {', '.join(tried) or 'none'}.",
        rule="RabbitMQ compares no message_id with any other: what was published twice is two messages. A desk that does not hear the "
        "confirm orders again. Who has dealt with the first knows the second by its id, and nobody else does.",
        look="The docstring of printer.work, where it speaks of an invoice that comes once more; what your printer keeps in mind, and from "
        "when on",
    )
    judge_results(attempt, {"1": ("printed", 1), "2": ("printed", 1), "3": ("failed", 3)}, saw)
    held = attempt.take(FAILED)
    assert len(held) == 1, feedback(
        saw=f"{saw} Each has one result, and `{FAILED}` holds {counted(len(held), 'message')}.",
        rule="A queue has what was published to it, each time that it was.",
        look="The docstring of printer.work, where it speaks of an invoice that comes once more",
    )
    judge_rest(attempt, saw)


@again_after_a_stall(IDLE)
def test_a_queue_that_is_not_there_is_noticed(attempt, answer):
    ways = {
        "A desk ordered an invoice": (INVOICES, lambda mine, p: mine.desk.order(p, iter([invoice(1)]))),
        "An invoice jammed at its third attempt": (FAILED, lambda mine, p: mine.printer.work(p, jammed(mine), idle=IDLE)),
        "An invoice was printed": (RESULTS, lambda mine, p: mine.printer.work(p, lambda _: None, idle=IDLE)),
    }
    for what, (missing, act) in ways.items():
        attempt.wipe()
        lay_out(attempt, without=missing)
        if missing != INVOICES:
            hand_in(attempt, invoice(1), headers={"attempt": 3})

        run = answer.run(lambda mine, act=act: act(mine, attempt.parameters()), within=PATIENCE, raises=(UnroutableError,))

        if not attempt.exists(missing) or attempt.depth(missing) == 0:  # who has declared it anew is as well off
            saw = f"{what}, and there was no queue `{missing}`, which somebody had deleted."
            assert isinstance(run.error, UnroutableError), feedback(
                saw=f"{saw} Your program returned {run.value!r}, as if all were well.",
                rule="An exchange that finds no queue for a message drops it, and confirms it, unless the publisher has asked to be told.",
                look="Lesson 2.4, 'Lose a question by one letter'; " + HINT,
            )
            kept = missing == INVOICES or attempt.comes_true(lambda: attempt.depth(INVOICES) == 1, within=10)
            assert kept, feedback(
                saw=f"{saw} Your program ended with UnroutableError, and `{INVOICES}` holds {attempt.depth(INVOICES)} messages.",
                rule="What was acknowledged is gone; what was not is ready again when the connection is closed.",
                look="When your printer acknowledges; " + HINT,
            )


@again_after_a_stall(IDLE)
def test_the_book_has_one_line_an_id(attempt, answer, tmp_path):
    lay_out(attempt)
    book = tmp_path / "book"
    book.unlink(missing_ok=True)  # of a try before
    report(attempt, "1", "2", "1", "3")

    def enter(mine):
        return mine.office.enter(attempt.parameters(), str(book), idle=IDLE), attempt.left_open()

    first, left = answer.run(enter, within=PATIENCE).value
    judge_book(book, ["1", "2", "3"], "The results of 1, 2, 1 again, and 3 came.")
    report(attempt, "2", "4")
    second, _ = answer.run(enter, within=PATIENCE).value
    saw = "The results of 1, 2, 1 again, and 3 came, and when the office had been closed and was open again, those of 2 and 4."
    judge_book(book, ["1", "2", "3", "4"], saw)
    rest = attempt.unacked(RESULTS) + attempt.depth(RESULTS)
    assert rest == 0, feedback(
        saw=f"{saw} All are in the book, and `{RESULTS}` still held {counted(rest, 'message')}.",
        rule="What was delivered and not acknowledged is ready again when the connection is closed.",
        look="What your office does with a second result of an id",
    )
    assert (first, second, left) == (3, 1, 0), feedback(
        saw=f"{saw} office.enter returned {first!r}, then {second!r}; {counted(left, 'connection')} of it stayed open.",
        rule="RabbitMQ does not report how much a consumer has done, and a connection is open until it is closed.",
        look="Returns: in the docstring of office.enter",
    )

    report(attempt, "5")

    def enter_on_a_full_disk(mine):
        resource.setrlimit(resource.RLIMIT_FSIZE, (book.stat().st_size, resource.RLIM_INFINITY))
        return mine.office.enter(attempt.parameters(), str(book), idle=IDLE)

    run = answer.run(enter_on_a_full_disk, within=PATIENCE, raises=(OSError,))
    kept = attempt.comes_true(lambda: attempt.depth(RESULTS) == 1, within=10)
    assert kept, feedback(
        saw=f"The disk of the office was full, so the result of 5 could not be entered; office.enter "
        f"{'ended with OSError' if run.error else f'returned {run.value!r}'}. `{RESULTS}` holds {attempt.depth(RESULTS)} messages.",
        rule="What was acknowledged is gone, and with auto_ack all that was sent is acknowledged. A line is in the file when it was "
        "flushed; until then Python may keep it in memory.",
        look="When your office acknowledges, and what has happened to the line by then; " + HINT,
    )
    assert run.error, feedback(
        saw=f"The disk of the office was full, so the result of 5 could not be entered, and office.enter returned {run.value!r}.",
        rule="Who catches an exception and says nothing leaves the caller in the dark.",
        look="The docstring of office.enter, where it speaks of OSError",
    )


def test_each_invoice_has_one_end_although_programs_are_killed(attempt, answer, tmp_path):
    lay_out(attempt)
    ledger, gate, book = Ledger(), Gate(), tmp_path / "book"
    desks = ("till", "counter", "web")
    given = {desk: [invoice(f"{desk} {n}", list(PRIORITIES)[n % 3]) for n in range(SHARE)] for desk in desks}
    jams = {f"{desk} {n}": times for desk in desks for n, times in ((2, 1), (5, 2), (7, 99))}
    stuck = "counter 3"  # the first printer that has it in hand is killed

    def work(mine):
        def print_invoice(found):
            before = ledger.ids().count(found["id"])
            ledger.note(found["id"])
            if found["id"] == stuck and not gate.reached.is_set():
                gate.wait()
            make_a_noise()
            if before < jams.get(found["id"], 0):
                raise mine.printer.Jam("the paper")

        mine.printer.work(attempt.parameters(), print_invoice, idle=None)

    def order(desk):
        return lambda mine: mine.desk.order(attempt.parameters(), iter(given[desk]))

    def enter(mine):
        mine.office.enter(attempt.parameters(), str(book), idle=None)

    office = answer.start(enter, within=PATIENCE * 4)
    printers = [answer.start(work, within=PATIENCE * 4) for _ in range(2)]
    orders = [answer.start(order(desk), within=PATIENCE * 2) for desk in desks]
    attempt.comes_true(gate.reached.is_set, within=PATIENCE)
    for printer in printers:
        if printer.pid == ledger.holder(stuck):
            printer.kill()
    printers.append(answer.start(work, within=PATIENCE * 4))
    attempt.comes_true(lambda: len(entered(book)) >= SHARE, within=PATIENCE)
    office.kill()
    ordered = [desk.wait().value for desk in orders]
    office = answer.start(enter, within=PATIENCE * 3)
    every = {found["id"] for invoices in given.values() for found in invoices}
    attempt.comes_true(lambda: every <= set(entered(book)), within=PATIENCE)
    attempt.comes_true(lambda: attempt.unacked(INVOICES) + attempt.unacked(RESULTS) == 0, within=PATIENCE)
    for running in (*printers, office):
        running.kill()

    saw = (
        f"Three desks ordered {SHARE} invoices each, two printers and an office worked. One printer was killed with `{stuck}` in hand and "
        "another one started; then the office was killed, and started again."
    )
    assert ordered == [SHARE] * 3, feedback(
        saw=f"{saw} desk.order returned {ordered}.",
        rule="RabbitMQ does not report how much a producer has sent; who wants to know must count.",
        look="Returns: in the docstring of desk.order",
    )
    lines = entered(book)
    missing = sorted(every - set(lines))
    assert not missing, feedback(
        saw=f"{saw} Of {len(every)} invoices, {len(missing)} have no line in the book: {', '.join(missing[:3])}.",
        rule="What a killed consumer had in hand comes again, to the next one, and nobody has done it yet.",
        look="Which invoices your printer acknowledges, and which results your office; " + HINT,
    )
    twice = [number for number, times in Counter(lines).items() if times > 1]
    assert not twice, feedback(
        saw=f"{saw} These have more than one line in the book: {', '.join(twice[:3])}.",
        rule="What a killed consumer had done and not acknowledged comes again. What it knew is gone with it, unless it was written down.",
        look="How your office knows what is in the book; " + HINT,
    )
    outcomes = {line["id"]: line["outcome"] for line in book_of(book)}
    failed = sorted(number for number, outcome in outcomes.items() if outcome == "failed")
    expected = sorted(number for number in jams if jams[number] > 3)
    assert failed == expected, feedback(
        saw=f"{saw} Invoice 7 of each desk jammed always, 2 and 5 once and twice. Failed, says the book: {', '.join(failed) or 'none'}.",
        rule="Each attempt may be at a different printer. What is to be known of a message has to be written on it.",
        look="The header `attempt`, in the docstring of printer.work",
    )
    tried = Counter(ledger.ids())
    too_often = [number for number in sorted(every) if tried[number] > min(jams.get(number, 0) + 1, 3) + (number == stuck)]
    assert not too_often, feedback(
        saw=f"{saw} Tried more often than was needed: {', '.join(f'{number}, {tried[number]} times' for number in too_often[:3])}.",
        rule="What a killed consumer had in hand comes again, and it has in hand what it was sent and has not acknowledged.",
        look="How many invoices your printer has in hand, and when it acknowledges each",
    )
    judge_rest(attempt, saw)


class Gate:
    """Where a printer waits, until the grader lets it go on."""

    def __init__(self):
        self.reached, self.open = Event(), Event()

    def wait(self) -> None:
        """Be here, and go on when it is open."""
        self.reached.set()
        self.open.wait(PATIENCE * 2)


class Ledger:
    """Which invoices were tried, and by which process, in a file: it outlives a process that is killed."""

    def __init__(self):
        self._descriptor, path = tempfile.mkstemp(prefix="invoices-")
        os.unlink(path)

    def note(self, number: str) -> None:
        """This process tries this invoice."""
        os.write(self._descriptor, f"{os.getpid()} {number}\n".encode())

    def ids(self) -> list[str]:
        """The invoices that were tried, in order."""
        return [number for _, number in self._lines()]

    def holder(self, number: str) -> int | None:
        """The process that tried this one last."""
        return next((int(process) for process, found in reversed(self._lines()) if found == number), None)

    def _lines(self) -> list[tuple[str, str]]:
        text = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0).decode()
        return [tuple(line.split(" ", 1)) for line in text.splitlines()]


def make_a_noise() -> None:
    """The work of a printer, which takes a moment."""
    time.sleep(A_MOMENT)


def jammed(mine):
    """A printer that always jams."""

    def print_invoice(found):
        raise mine.printer.Jam(f"jam over {found['id']}")

    return print_invoice


def lay_out(attempt, without: str = "") -> None:
    """The queues as the contract says, for checks of what is built on them."""
    for queue in (INVOICES, FAILED, RESULTS):
        if queue != without:
            attempt.declare(queue, arguments={"x-queue-type": "quorum"})


def put(attempt, queue: str, *messages: tuple) -> None:
    """Publish pairs of body and properties, confirmed."""
    with pika.BlockingConnection(attempt.parameters()) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for body, properties in messages:
            channel.basic_publish(exchange="", routing_key=queue, body=json.dumps(body), properties=properties, mandatory=True)


def hand_in(attempt, *invoices: dict, headers: dict | None = None) -> None:
    """Order these invoices, as a desk does, with more headers where given."""
    labels = [
        pika.BasicProperties(message_id=found["id"], priority=PRIORITIES[found["urgency"]], headers=headers or None, delivery_mode=2)
        for found in invoices
    ]
    put(attempt, INVOICES, *zip(invoices, labels, strict=True))


def report(attempt, *numbers: str) -> None:
    """Put a result of each of these into the queue, as a printer does."""
    results = [{"id": number, "outcome": "printed", "attempts": 1} for number in numbers]
    put(attempt, RESULTS, *[(found, pika.BasicProperties(message_id=found["id"], delivery_mode=2)) for found in results])


def print_all(attempt, answer, jams: dict[str, int]) -> list[str]:
    """Let one printer work until nothing is left; each invoice jams so many times. The attempts, in order."""
    ledger = Ledger()

    def work(mine):
        def print_invoice(found):
            ledger.note(found["id"])
            if ledger.ids().count(found["id"]) <= jams.get(found["id"], 0):
                raise mine.printer.Jam(f"jam over {found['id']}")

        mine.printer.work(attempt.parameters(), print_invoice, idle=IDLE)

    running = answer.start(work, within=PATIENCE)
    attempt.comes_true(lambda: goes_on(ledger) or not running.alive, within=PATIENCE + 5)
    if goes_on(ledger) and running.alive:
        running.kill()
    else:
        running.wait()
    return ledger.ids()


def goes_on(ledger: Ledger) -> bool:
    """Whether an invoice was tried so often that there may be no end to it."""
    return max(Counter(ledger.ids()).values(), default=0) > TOO_OFTEN


def hold_back_confirms(attempt, answer, jams: bool, queue: str) -> tuple[bool, list[tuple]]:
    """Let a printer publish without hearing of it, and kill it: whether something came into *queue*, and what is in the first one then."""
    gate = Gate()

    def work(mine, port):
        def print_invoice(found):
            gate.wait()
            if jams:
                raise mine.printer.Jam("the paper")

        mine.printer.work(attempt.parameters(port=port), print_invoice, idle=None)

    with Proxy(to=management.answering().amqp) as line:
        running = answer.start(lambda mine: work(mine, line.port), within=PATIENCE * 2)
        attempt.comes_true(lambda: gate.reached.is_set() or not running.alive, within=PATIENCE)
        line.black_hole(TO_CLIENT)
        gate.open.set()
        arrived = attempt.comes_true(lambda: attempt.depth(queue) >= 1 or not running.alive, within=10)
        running.kill()
    attempt.comes_true(lambda: attempt.depth(INVOICES) >= 1 + (queue == INVOICES), within=10)
    return arrived, attempt.take(INVOICES)


def judge_label(properties, found: dict, what: str) -> None:
    """A message is labelled as was agreed upon."""
    expected = {"message_id": found["id"], "priority": PRIORITIES[found["urgency"]], "delivery_mode": 2}
    for name, value in expected.items():
        rule, look = LABEL[name]
        assert getattr(properties, name) == value, feedback(
            saw=f"{what}, the invoice {found}, has the {name} {getattr(properties, name)!r}.",
            rule=rule,
            look=f"The docstrings of desk.order and printer.work; {look}",
        )


def judge_results(attempt, expected: dict[str, tuple], saw: str) -> None:
    """Each invoice has one result, of the form that was agreed upon."""
    held = attempt.take(RESULTS)
    found = [read(body) or {} for body, _ in held]
    seen = sorted((str(one.get("id")), one.get("outcome"), one.get("attempts")) for one in found)
    assert seen == sorted((number, *result) for number, result in expected.items()), feedback(
        saw=f"{saw} The results are {', '.join(str(body)[:80] for body, _ in held) or 'none'}.",
        rule="A result says what became of one invoice, to somebody who has nothing but the result.",
        look="A result, in the docstring of printer.work; " + HINT,
    )
    for one, (_, properties) in zip(found, held, strict=True):
        assert (properties.message_id, properties.delivery_mode) == (one["id"], 2), feedback(
            saw=f"{saw} A result, {one}, has the message_id {properties.message_id!r} and the delivery_mode {properties.delivery_mode!r}.",
            rule="The properties of a message are what its publisher wrote, or nothing.",
            look="A result, in the docstring of printer.work",
        )


def judge_rest(attempt, saw: str) -> None:
    """Nothing waits any more."""
    rest = attempt.unacked(INVOICES) + attempt.depth(INVOICES)
    assert rest == 0, feedback(
        saw=f"{saw} Each has its result, and `{INVOICES}` still held {counted(rest, 'message')}.",
        rule="A message stays in its queue until it is acknowledged; what was delivered and not acknowledged will come again.",
        look="Which invoices your printer acknowledges",
    )


def judge_book(book, expected: list[str], saw: str) -> None:
    """The book has a line for each of these, in this order."""
    text = book.read_text() if book.exists() else ""
    assert entered(book) == expected, feedback(
        saw=f"{saw} In the book is {text.splitlines() or 'nothing'}.",
        rule="RabbitMQ compares no ids. Who wants to know what was there before has to keep it, in a place that outlives the program.",
        look="The docstring of office.enter; " + HINT,
    )


def book_of(book) -> list[dict]:
    """The lines of the book, those that are results."""
    lines = book.read_text().splitlines() if book.exists() else []
    return [found for line in lines if (found := read(line.encode())) and {"id", "outcome"} <= set(found)]


def entered(book) -> list[str]:
    """The ids in the book, in order."""
    return [str(line["id"]) for line in book_of(book)]


def read(body: bytes) -> dict | None:
    """What a body says; None where it is no JSON, or no object."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def counted(number: int, what: str) -> str:
    """A number with its noun: "no message", "1 message", "2 messages"."""
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
