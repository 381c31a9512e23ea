"""Exercise 3.3: ask the stock, and give up in time."""

import math
import threading
import time

import pika
from pika.exceptions import UnroutableError

from rabbitlab.grading import feedback
from rabbitlab.nodes import ADMIN

QUEUE = "stock.questions"
SHORT = 1.5  # seconds that a question is given which will not be answered
LONG = 20  # seconds that one is given which will
MIDDLE = 4  # seconds that one is given to which only answers to other questions come
WHILE = 2.5  # seconds until such an answer, where it is one and no more; who waits anew for all of MIDDLE then is late by as much
BUSY = 2.5  # seconds for which the stockroom lets a question wait
SOON = 0.5  # seconds in which what RabbitMQ has is sure to be with the asker
LATE = 6  # seconds after a deadline by which also a busy machine has noticed it
PATIENCE = 30  # seconds for everything that an answer does in one check
TRIES = 3  # at something that has to happen at its time: a machine may stand still now and then
LESSON = "Lesson 3.5"


def test_the_answer_is_returned(attempt, answer):
    attempt.declare(QUEUE)
    amounts = {"lamp": "7", "mug": "0", "Glühbirne": "12"}

    with Stockroom(attempt, lambda room, question: room.reply(question, amounts.get(question.item, "1000"))) as room:
        seen = ask(attempt, answer, *[(item, LONG) for item in amounts]).value

    assert room.asked, feedback(
        saw=f"how_many() was called, and no question came to the queue `{QUEUE}`; the call {outcome(seen[0])}.",
        rule="The default exchange passes a message on to the queue that is called as its routing key. What RabbitMQ refuses, a channel "
        "without confirms does not say.",
        look="What your program publishes, with which key and on which channel; lesson 1.5, 'Publish to an exchange that is not there'",
    )
    bare = [question for question in room.asked if not question.properties.reply_to or not question.properties.correlation_id]
    assert not bare, feedback(
        saw=f"A question had reply_to {bare and bare[0].properties.reply_to!r} and correlation_id "
        f"{bare and bare[0].properties.correlation_id!r}.",
        rule="An answer goes where the question says, and repeats the number that the question had. RabbitMQ fills in neither.",
        look=f"{LESSON}, 'Say where the answer should go'",
    )
    for (item, amount), got in zip(amounts.items(), seen, strict=False):
        assert got["returned"] == int(amount) and type(got["returned"]) is int, feedback(  # noqa: PT018 - one fault, one sentence
            saw=f"The stockroom answered {amount!r} to the question about `{item}`; how_many() {outcome(got)}.",
            rule="A body is bytes, and what they mean is between asker and answerer. That there is none of a thing is an answer as good as "
            "any other number.",
            look="Returns: in the docstring of your file, and what your program makes of the body",
        )


def test_a_slow_answer_in_time_counts(attempt, answer):
    attempt.declare(QUEUE)

    with Stockroom(attempt, lambda room, question: room.reply(question, "7"), opens_after=BUSY):
        seen = ask(attempt, answer, ("lamp", LONG)).value

    assert seen[0]["returned"] == 7, feedback(
        saw=f"The deadline was {LONG} s away. The stockroom opened after {BUSY:g} s, to answer what was in its queue; "
        f"how_many() {outcome(seen[0])} after {seen[0]['took']:.1f} s.",
        rule="`expiration` is a number of milliseconds, as text; when they have passed, the message is gone, whoever waits for its answer.",
        look="Which numbers in your program are seconds, and which are milliseconds; what ends your loop",
    )


def test_a_question_without_an_answer_ends(attempt, answer):
    for _ in range(TRIES):
        attempt.wipe()
        attempt.declare(QUEUE)
        running = start(attempt, answer, ("lamp", SHORT))
        attempt.comes_true(lambda running=running: attempt.depth(QUEUE) or not running.alive, within=PATIENCE)
        attempt.publish(QUEUE, "mug")  # another till asks, behind this one: what has expired goes from the head of a queue
        asked = time.monotonic()
        seen = running.wait().value
        if asked < seen[0]["began"] + SHORT:
            break  # otherwise whoever empties the queue at the deadline may have done so before it asked

    assert seen[0]["raised"] == "TimeoutError", feedback(
        saw=f"Nobody was in the stockroom, and the deadline was {SHORT:g} s away; how_many() {outcome(seen[0])} after "
        f"{seen[0]['took']:.1f} s.",
        rule="RabbitMQ does not tell an asker that nobody answers. Who waits has to look at a clock.",
        look="Raises: in the docstring of your file",
    )
    assert SHORT * 0.9 < seen[0]["took"] < SHORT + LATE, feedback(
        saw=f"The deadline was {SHORT:g} s away, and how_many() gave up after {seen[0]['took']:.1f} s.",
        rule="process_data_events comes back when something has happened, or when its time is over, whichever is first.",
        look=f"{LESSON}, 'Give up in time'; ./lab hint 3/ex_03",
    )
    attempt.comes_true(lambda: attempt.depth(QUEUE) <= 1, within=LATE)
    left = [body.decode() for body, _ in attempt.take(QUEUE)]
    assert "lamp" not in left, feedback(
        saw=f"how_many() gave up after {seen[0]['took']:.1f} s, and {LATE} s later the question was still in the queue.",
        rule="A message waits until somebody takes it, or until it expires, if its publisher or its queue says when.",
        look=f"{LESSON}, 'Give up in time'; how_many, in the docstring of your file",
    )
    assert "mug" in left, feedback(
        saw="Another till had asked about mugs meanwhile, and nobody had answered it. When how_many() had given up, the question of the "
        "other till was gone, too.",
        rule="A queue does not know whose messages are whose. Who empties it, or takes out what is there, takes it from everybody; what is "
        "written on one message holds for that one.",
        look=f"Which line of your program takes the question out, and what else it finds there; {LESSON}, 'Give up in time'",
    )


def test_a_late_answer_is_not_returned(attempt, answer):
    attempt.declare(QUEUE)

    def late(room, question):
        if len(room.asked) == 2:  # the till has given the first one up
            room.reply(room.asked[0], "7")
            room.reply(question, "6")

    with Stockroom(attempt, late) as room:
        seen = ask(attempt, answer, ("lamp", SHORT), ("lamp", LONG)).value

    judge(
        room,
        seen[-1],
        6,
        saw="The till asked about lamps, and gave up; a lamp was sold, and it asked about lamps again. Then both answers came, 7 to the "
        "first question and 6 to the second.",
    )


def test_a_second_copy_of_an_answer_is_not_returned(attempt, answer):
    attempt.declare(QUEUE)

    def twice(room, question):
        if len(room.asked) == 1:
            room.reply(question, "7")
            room.reply(question, "7")
        else:
            room.reply(question, "0")

    with Stockroom(attempt, twice) as room:
        seen = ask(attempt, answer, ("lamp", LONG), ("mug", LONG)).value

    saw = "The till asked about lamps, and the stockroom answered 7, twice; then it asked about mugs, and the answer was 0."
    judge(room, seen[-1], 0, saw)


def test_foreign_answers_are_passed_over(attempt, answer):
    attempt.declare(QUEUE)

    def strangers_first(room, question):
        for number in (None, "", "1", "another question"):
            room.reply(question, "1000", number=number)
        room.reply(question, "7")

    with Stockroom(attempt, strangers_first) as room:
        seen = ask(attempt, answer, ("lamp", LONG)).value
    judge(room, seen[0], 7, saw="Four answers to questions of others came, each saying 1000, and then the answer 7 to this one.")

    for _ in range(TRIES):
        with Stockroom(attempt, lambda room, question: room.flood(question)):
            running = start(attempt, answer, ("lamp", MIDDLE))
            attempt.comes_true(lambda running=running: not running.alive, within=MIDDLE + LATE * 2)
            ended = not running.alive
            if not ended:
                running.kill()
        if not ended or running.wait().value[0]["took"] < MIDDLE + 1:
            break  # otherwise the flood may have stood still for as long, and that ends any wait
    told = f"Answers to other questions came ten times a second, and none to this one, whose deadline was {MIDDLE} s away"
    assert ended, feedback(
        saw=f"{told}. After {MIDDLE + LATE * 2} s how_many() was still waiting.",
        rule="A time limit of pika is one for the silence until something comes: an `inactivity_timeout`, for instance, begins anew with "
        "each message.",
        look="When the clock of your deadline starts, and what starts it again; ./lab hint 3/ex_03",
    )
    seen = running.wait().value
    assert seen[0]["raised"] == "TimeoutError", feedback(
        saw=f"{told}; how_many() {outcome(seen[0])}.",
        rule="An answer belongs to the question whose correlation_id it repeats.",
        look="What your program does with an answer that is not its own",
    )


def test_a_deadline_is_not_put_off(attempt, answer):
    attempt.declare(QUEUE)

    for _ in range(TRIES):
        with Stockroom(attempt, lambda room, question: room.stray(question)) as room:
            seen = ask(attempt, answer, ("lamp", MIDDLE)).value
        if room.strayed < seen[0]["began"] + MIDDLE - SOON and seen[0]["took"] < MIDDLE + WHILE * 0.9:
            break  # otherwise it came too late to put a deadline off, or the machine was busy

    saw = f"The deadline was {MIDDLE} s away. One answer to another question came after {WHILE:g} s, and then nothing"
    assert seen[0]["raised"] == "TimeoutError", feedback(
        saw=f"{saw}; how_many() {outcome(seen[0])} after {seen[0]['took']:.1f} s.",
        rule="An answer belongs to the question whose correlation_id it repeats.",
        look="What your program does with an answer that is not its own",
    )
    assert seen[0]["took"] < MIDDLE + WHILE * 0.9, feedback(
        saw=f"{saw}; how_many() gave up after {seen[0]['took']:.1f} s.",
        rule="pika knows of no deadline: a limit that one of its methods is given counts from that call on, and the next call may take as "
        "long again.",
        look=f"What your program gives as the limit when it waits for the second time; {LESSON}, 'Give up in time'; ./lab hint 3/ex_03",
    )


def test_a_missing_queue_is_noticed_at_once(attempt, answer):
    seen = ask(attempt, answer, ("lamp", LONG)).value

    assert seen[0]["raised"] in ("LookupError", "KeyError", "IndexError"), feedback(
        saw=f"There was no queue `{QUEUE}`, and the deadline was {LONG} s away; how_many() {outcome(seen[0])} after "
        f"{seen[0]['took']:.1f} s.",
        rule="What fits no binding is confirmed and dropped, unless the publisher insists. What is then given back, pika raises on a "
        "channel with confirms, and on no other.",
        look="Lesson 2.4, 'Lose a question by one letter'; Raises: in the docstring of your file",
    )


def test_no_queue_is_left(attempt, answer):
    attempt.declare(QUEUE)
    amounts = [("lamp", LONG)] * 3 + [("unicorn", SHORT)]

    def known(room, question):
        if question.item == "lamp":
            room.reply(question, "7")

    with Stockroom(attempt, known):
        run = ask(attempt, answer, *amounts, then=lambda: (attempt.left_open(), others(attempt)))
    *seen, (left_open, left) = run.value
    most = max(len(got["queues"]) for got in seen)
    assert most <= 1, feedback(
        saw=f"Four questions were asked over one connection. Beside `{QUEUE}` there were by then {most} more queues.",
        rule="A queue is there until it is deleted; an exclusive one, until its connection is closed.",
        look="Where in your program a queue is declared, and how often that line runs",
    )
    assert not left, feedback(
        saw=f"close() had returned, and the program was still running. Beside `{QUEUE}` there {'was' if len(left) == 1 else 'were'} "
        f"{len(left)} more queue{'s' * (len(left) != 1)}.",
        rule="A queue is there until it is deleted; an exclusive one, until its connection is closed.",
        look=f"{LESSON}, 'Have no reply queue at all'; close, in the docstring of your file",
    )
    assert left_open == 0, feedback(
        saw=f"close() had returned, the program was still running, and {left_open} connection{'s' * (left_open != 1)} of it "
        f"{'was' if left_open == 1 else 'were'} open.",
        rule="A connection is open until it is closed or its program ends.",
        look="close, in the docstring of your file",
    )
    with Stockroom(attempt, lambda room, question: None) as room:
        running = start(attempt, answer, ("unicorn", LONG))
        attempt.comes_true(lambda: room.asked or not running.alive, within=PATIENCE)
        running.kill()
    attempt.comes_true(lambda: not others(attempt), within=LATE)
    assert not others(attempt), feedback(
        saw=f"We killed the program while it waited for an answer. Beside `{QUEUE}` there was still a queue of it, {LATE} s later.",
        rule="A program that is killed deletes nothing. Only what belongs to its connection goes with it.",
        look=f"{LESSON}, 'Have no reply queue at all'; the arguments in your queue_declare",
    )


class Question:
    """A question as it came to the stockroom.

    Attributes:
        item: The body, as text.
        properties: What is written on it.
    """

    def __init__(self, properties, body: bytes):
        self.item, self.properties = body.decode(errors="replace"), properties


class Stockroom:
    """Takes questions off the queue in a thread of the grader's, and does with each what *behave* says.

    Args:
        attempt: Of this run.
        behave: Called with this stockroom and the question.
        opens_after: So many seconds a question lies in the queue before the first is taken.

    Attributes:
        asked: The questions so far.
        strayed: When RabbitMQ had the one answer of ``stray``, as ``time.monotonic()`` says.
    """

    def __init__(self, attempt, behave, opens_after: float = 0):
        self._parameters = attempt.parameters(credentials=pika.PlainCredentials(*ADMIN), heartbeat=0)
        self._behave, self._opens_after = behave, opens_after
        self._open, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.asked: list[Question] = []
        self.strayed = math.inf

    def __enter__(self) -> "Stockroom":
        self._thread.start()
        if not self._opens_after:
            self._open.wait(PATIENCE)
        return self

    def __exit__(self, *_) -> None:
        self._closed.set()
        self._thread.join()

    def reply(self, question: Question, amount: str, **changed) -> None:
        """Answer a question; ``number=`` with another number than its own. An asker that is gone gets nothing."""
        number = changed.get("number", question.properties.correlation_id)
        label = pika.BasicProperties(correlation_id=number)
        if question.properties.reply_to:
            self._channel.basic_publish(exchange="", routing_key=question.properties.reply_to, body=amount, properties=label)

    def flood(self, question: Question) -> None:
        """Send the asker answers to other questions until this stockroom is closed."""
        number = 0
        while not self._closed.wait(0.1):
            number += 1
            self.reply(question, "1000", number=f"another question {number}")

    def stray(self, question: Question) -> None:
        """Send the asker one answer to another question, after a while, and nothing after that."""
        self._closed.wait(WHILE)
        self.reply(question, "1000", number="another question")
        self.strayed = time.monotonic()

    def _work(self) -> None:
        with pika.BlockingConnection(self._parameters) as connection:
            self._channel = connection.channel()
            self._channel.confirm_delivery()
            while self._opens_after and not self._closed.is_set() and not self._ready():
                self._closed.wait(0.05)
            self._closed.wait(self._opens_after)
            for method, properties, body in self._channel.consume(queue=QUEUE, auto_ack=True, inactivity_timeout=0.05):
                self._open.set()
                if self._closed.is_set():
                    return
                if method:
                    self.asked.append(Question(properties, body))
                    self._behave(self, self.asked[-1])

    def _ready(self) -> int:
        return self._channel.queue_declare(queue=QUEUE, passive=True).method.message_count


def ask(attempt, answer, *questions: tuple, then=None):
    """Let the answer ask these questions, (item, seconds) each, one after the other, close, and say what came of each."""
    return start(attempt, answer, *questions, then=then).wait()


def start(attempt, answer, *questions: tuple, then=None):
    """The same in the background. *then* is called in the answer's process after close(), and its value comes last."""

    def day(mine):
        stock, seen = mine.Stock(attempt.parameters()), []
        for item, within in questions:
            began, returned, raised = time.monotonic(), None, ""  # this clock is the same in every process of a machine
            try:
                returned = stock.how_many(item, within)
            except (TimeoutError, LookupError) as error:
                raised = type(error).__name__
            except UnroutableError:
                raised = "UnroutableError"
            took = time.monotonic() - began
            seen.append({"returned": returned, "raised": raised, "began": began, "took": took, "queues": others(attempt)})
            if raised and within == LONG:  # what should have been answered was not, and the next would not be
                break
        stock.close()
        return [*seen, then()] if then else seen

    return answer.start(day, within=PATIENCE * 2)


def others(attempt) -> list[str]:
    """The queues beside that of the questions."""
    return [queue["name"] for queue in attempt.queues() if queue["name"] != QUEUE]


def judge(room: Stockroom, got: dict, amount: int, saw: str) -> None:
    """The answer to the last question, and to no other."""
    numbers = [question.properties.correlation_id for question in room.asked]
    assert len(numbers) == len(set(numbers)), feedback(
        saw=f"{saw} how_many() {outcome(got)}. The questions had the correlation_id {' and '.join(repr(n) for n in numbers)}.",
        rule="RabbitMQ compares no correlation_id with any other. It tells questions apart only as far as they have different ones.",
        look=f"{LESSON}, 'Take the first answer that comes', at its end",
    )
    assert got["raised"] != "TimeoutError" or got["took"] > LONG * 0.9, feedback(
        saw=f"{saw} The deadline was {LONG} s away, and how_many() {outcome(got)} after {got['took']:.1f} s.",
        rule="A method of pika that waits comes back after any message, whoever's it is, or when its time is over. That it has come back "
        "says neither that your answer has come nor that it never will.",
        look=f"What your program does when something has come that is not its answer; {LESSON}, 'Give up in time'",
    )
    assert got["returned"] == amount, feedback(
        saw=f"{saw} how_many() {outcome(got)}.",
        rule="Answers come in the order in which they are sent, whatever the asker waits for. Which question one answers is written on it.",
        look=f"{LESSON}, 'Take the first answer that comes'; ./lab hint 3/ex_03",
    )


def outcome(got: dict) -> str:
    """What came of a call, in words."""
    return f"raised {got['raised']}" if got["raised"] else f"returned {got['returned']!r}"
