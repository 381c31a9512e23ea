"""Exercise 3.1: fair workers."""

import os
import select
import tempfile
from collections import Counter
from pathlib import Path

from pika.exceptions import AMQPError

from rabbitlab.grading import feedback, management
from rabbitlab.ledger import DONE, STARTED, Ledger

QUEUE = "engravings"
MANY = 20  # jobs
SHARE = 3
PATIENCE = 15  # seconds for what takes one, on a machine with nothing else to do
QUIET = 2  # seconds without a job
HEARD = 3  # seconds after the bell by which a worker that asks once a second, whatever it does, has asked
HEARTBEAT = 2  # seconds; RabbitMQ gives a silent client up after 4 to 6
LONG = 8  # seconds that a job takes where RabbitMQ has not given its worker up before
LESSON = "Lesson 3.1"


class Jammed(Exception):
    """What the machine raises when it is told to."""


def test_each_job_is_engraved(attempt, answer):
    shop = Shop(attempt, answer, jobs=3)

    running = shop.start(share=2)
    wait(attempt, running, lambda: len(shop.engraved()) >= 3)
    left = attempt.comes_true(lambda: not running.alive, within=QUIET)
    if not left:
        shop.publish(3, 6)
        wait(attempt, running, lambda: len(shop.engraved()) >= 6)
    shop.bell.ring()
    value = running.wait().value

    known = [job for job in shop.engraved() if job in shop.jobs]
    assert not left or len(known) < 3, feedback(
        saw=f"Three jobs were engraved, nobody had rung the bell, and within {QUIET} s work() returned {value['returned']!r}.",
        rule="A queue does not say that nothing more will come. A worker of a shop waits as long as the shop is open.",
        look="closing, in the docstring of your file; what ends your loop",
    )
    judge_copies(shop, known, f"There were {len(shop.jobs)} jobs, and one worker, until the bell rang.")
    assert value["returned"] == len(known), feedback(
        saw=f"{len(known)} jobs were engraved, and work() returned {value['returned']!r}.",
        rule="RabbitMQ does not report how much a worker has done; who wants to know must count.",
        look="Returns: in the docstring of your file",
    )
    assert (attempt.depth(QUEUE), value["unacked"]) == (0, 0), feedback(
        saw=f"All {len(known)} jobs were engraved. When work() returned, RabbitMQ held {jobs(value['unacked'])} as delivered and not "
        f"acknowledged; after your program had ended, {jobs(attempt.depth(QUEUE))} lay in the queue.",
        rule="A message stays in its queue until it is acknowledged; what was not is ready again when its connection is closed.",
        look="Lesson 1.2, 'Sign for it'; ./lab hint 3/ex_01",
    )


def test_nobody_holds_more_than_their_share(attempt, answer):
    shop = Shop(attempt, answer, jobs=MANY)
    jam = Bell()

    slow = shop.start(share=SHARE, jam=jam, stuck_at="job 0")
    wait(attempt, slow, shop.begun)
    attempt.comes_true(lambda: MANY - attempt.depth(QUEUE) > SHARE, within=1)
    taken = MANY - attempt.depth(QUEUE)
    assert len(shop.begun()) == 1, feedback(
        saw=f"The machine had the first job and was not done with it; meanwhile it was given {jobs(len(shop.begun()) - 1)} more.",
        rule="How many messages a consumer may hold and how many it works on are two numbers. RabbitMQ knows the first.",
        look="The docstring of your file: how many at a time?",
    )
    assert taken <= SHARE, feedback(
        saw=f"{MANY} jobs were ready. A worker with a share of {SHARE} had the first in its machine, none was engraved, and {taken} "
        "were no longer there for anybody else.",
        rule="RabbitMQ sends a consumer what there is, ahead of its work, up to the limit that holds when the consumer subscribes; and it "
        "counts what was not acknowledged, which is not the same as what is not done.",
        look=f"{LESSON}, 'See who did how much'; ./lab hint 3/ex_01",
    )
    quick = shop.start(share=2)
    wait(attempt, quick, lambda: len(shop.engraved()) >= MANY - SHARE)
    jam.ring()
    wait(attempt, slow, lambda: len(shop.engraved()) >= MANY)
    shop.bell.ring()
    slow.wait()
    quick.wait()
    judge_copies(shop, shop.engraved(), f"{MANY} jobs were shared by two workers, one of which was stuck in its first job for a while.")


def test_a_killed_worker_loses_nothing(attempt, answer):
    shop = Shop(attempt, answer, jobs=10)

    running = shop.start(share=4, jam=Bell(), stuck_at="job 2")
    wait(attempt, running, lambda: "job 2" in shop.begun())
    attempt.comes_true(lambda: attempt.depth(QUEUE) + attempt.unacked(QUEUE) == 8, within=5)
    running.kill()
    attempt.comes_true(lambda: attempt.unacked(QUEUE) == 0, within=PATIENCE)

    engraved = shop.engraved()
    left = [body.decode() for body, _ in attempt.take(QUEUE)]
    saw = f"Jobs 0 and 1 were engraved, and job 2 was in the machine, when we killed the worker. In the queue were then: {told(left)}."
    lost = [job for job in shop.jobs if job not in left and job not in engraved]
    assert not lost, feedback(
        saw=f"{saw} {told(lost)}: engraved by nobody, and in no queue.",
        rule="An acknowledged message is gone. With automatic acknowledgement it is acknowledged at the moment when it is sent.",
        look=f"{LESSON}, 'Kill one with a medal in the machine'; what acknowledges in your program, and when?",
    )
    again = [job for job in engraved if job in left]
    assert not again, feedback(
        saw=f"{saw} {told(again)} will be engraved again.",
        rule="What was not acknowledged when its connection ends is ready again, done or not.",
        look=f"{LESSON}, 'Kill one with a medal in the machine'; when does your program acknowledge a job that is done?",
    )


def test_a_long_job_is_engraved_once(attempt, answer):
    shop = Shop(attempt, answer, jobs=1)
    jam = Bell()

    running = shop.start(share=1, jam=jam, stuck_at="job 0", parameters=attempt.parameters(heartbeat=HEARTBEAT), raises=(AMQPError,))
    wait(attempt, running, shop.begun)
    agreed = set()
    gone = attempt.comes_true(lambda: agreed.update(heartbeats(attempt)) or attempt.connections() == 0, within=LONG)
    jam.ring()
    attempt.comes_true(lambda: not running.alive or (attempt.depth(QUEUE), attempt.unacked(QUEUE)) == (0, 0), within=PATIENCE)
    shop.bell.ring()
    value = running.wait().value

    took = f"A job took several seconds, and the parameters say a heartbeat of {HEARTBEAT} s."
    begun, ready = len(shop.begun()), attempt.depth(QUEUE)
    went_well = not gone and not value["error"] and begun == 1 and not ready
    assert went_well, feedback(
        saw=f"{took} {'Before it was done, RabbitMQ had given the connection up. ' if gone else ''}"
        f"work() {'raised ' + value['error'] if value['error'] else 'returned ' + repr(value['returned'])}; the machine was given the job "
        f"{times(begun)}, and {jobs(ready)} lay in the queue in the end.",
        rule="pika sends heartbeats while one of its methods runs. RabbitMQ gives up a client that it has not heard for some heartbeats, "
        "and makes what it held ready again.",
        look=f"{LESSON}, 'Engrave for longer than RabbitMQ has patience'; ./lab hint 3/ex_01",
    )
    assert agreed <= {HEARTBEAT}, feedback(
        saw=f"{took} Your program and RabbitMQ agreed on {' and '.join(f'{seconds} s' for seconds in sorted(agreed))}; 0 is none at all.",
        rule="Heartbeats are how RabbitMQ learns that a worker whose machine went dark is gone. Until it does, nobody else gets its jobs.",
        look="What the docstring of your file says about the heartbeat of the parameters",
    )


def test_the_job_in_the_machine_is_finished(attempt, answer):
    shop = Shop(attempt, answer, jobs=3)
    jam = Bell()

    running = shop.start(share=1, jam=jam, stuck_at="job 0")
    wait(attempt, running, shop.begun)
    shop.bell.ring()
    # Who does not ask meanwhile, or asks and stays, is as well off: then the job is done, and the bell is still ringing.
    # Who leaves has left when its connection is closed; before that, a job that was done at this moment might still be signed for.
    attempt.comes_true(lambda: (shop.heard.rung() and not attempt.connections()) or not running.alive, within=HEARD)
    jam.ring()
    value = running.wait().value

    engraved = shop.engraved()
    left = [body.decode() for body, _ in attempt.take(QUEUE)]
    assert "job 0" in engraved and "job 0" not in left, feedback(  # noqa: PT018 - one fault, one sentence
        saw="Three jobs waited. While job 0 was in the machine, closing() came to say True. "
        f"work() returned {value['returned']!r}; engraved were by then: {told(engraved)}; in the queue were afterwards: {told(left)}.",
        rule="What was not acknowledged when its connection ends is ready again, done or not. And what another thread asks the connection "
        "to call is called while a method of pika runs, and not once the connection is closed.",
        look="closing, in the docstring of your file; where your program is while the machine works, and what it leaves that for",
    )


def test_what_is_held_at_closing_time_is_given_back(attempt, answer):
    shop = Shop(attempt, answer, jobs=8)

    value = shop.start(share=4, rings_after="job 1").wait().value

    engraved = shop.engraved()
    saw = f"Of 8 jobs two were engraved, with a share of 4; then closing() said True. work() returned {value['returned']!r}."
    assert len(engraved) < len(shop.jobs), feedback(
        saw=f"{saw} Engraved by then: {told(engraved)}.",
        rule="A consumer gets one job after the other for as long as there are some. What a program asks only when none comes, it does not "
        "ask before the queue is empty.",
        look="closing, in the docstring of your file: when is it to be asked, and when does your program ask it?",
    )
    assert len(engraved) == 2, feedback(
        saw=f"{saw} Engraved by then: {told(engraved)}.",
        rule="What a consumer holds and has not acknowledged is not lost when it goes: somebody else gets it.",
        look="closing, in the docstring of your file",
    )
    assert (value["ready"], value["unacked"], value["open"]) == (6, 0, 0), feedback(
        saw=f"{saw} At that moment {jobs(value['ready'])} were ready, {jobs(value['unacked'])} delivered and not acknowledged, and "
        f"{value['open']} connection{'s' * (value['open'] != 1)} of your program open.",
        rule="RabbitMQ keeps a delivered message for its consumer as long as the consumer's channel is open. A program that goes on "
        "after its last job keeps them from everybody.",
        look="Lesson 1.4, 'Stop in the middle'; what ends the connection in your program?",
    )


def test_an_exception_gives_the_job_back(attempt, answer):
    shop = Shop(attempt, answer, jobs=6)

    value = shop.start(share=3, jams_at="job 1", rings_after="job 5", raises=(Jammed, AMQPError)).wait().value

    saw = "The machine raised an exception at job 1, of six."
    assert value["error"] == "Jammed", feedback(
        saw=f"{saw} What came of work() was: {value['error'] or 'it returned ' + repr(value['returned'])}.",
        rule="An exception in a thread ends that thread, and nobody else hears of it; who waits for its work has to ask.",
        look="The docstring of your file, where it speaks of exceptions; ./lab hint 3/ex_01",
    )
    left = [body.decode() for body, _ in attempt.take(QUEUE)]
    assert (value["unacked"], value["open"]) == (0, 0), feedback(
        saw=f"{saw} When it reached our caller, RabbitMQ held {jobs(value['unacked'])} as delivered to you and not acknowledged, and "
        f"{value['open']} connection{'s' * (value['open'] != 1)} of your program {'was' if value['open'] == 1 else 'were'} open.",
        rule="A connection is open until it is closed or its program ends, and so long RabbitMQ keeps what it held.",
        look="What closes the connection in your program when an exception passes",
    )
    assert left == shop.jobs[1:], feedback(
        saw=f"{saw} In the queue were afterwards: {told(left)}.",
        rule="What is acknowledged, or rejected for good, is gone; what is neither is ready again when its channel closes.",
        look="Which of your lines acknowledge or reject a job, and which of them run when an exception passes",
    )


class Bell:
    """Rung once, heard by every process; one that was killed while it listened harms nobody."""

    def __init__(self):
        self._ear, self._rope = os.pipe()

    def ring(self) -> None:
        """Ring it."""
        os.write(self._rope, b"!")

    def rung(self, within: float = 0) -> bool:
        """Whether it was rung, or is within so many seconds."""
        return bool(select.select([self._ear], [], [], within)[0])


class Shop:
    """Jobs in the queue, the workers that were started, and the book in which the machines write what they do.

    Attributes:
        jobs: The bodies that were published.
        bell: Rung at closing time.
        heard: Rung when a worker has asked, and was told that it is closing time.
    """

    def __init__(self, attempt, answer, jobs: int):
        self._attempt, self._answer = attempt, answer
        self._folder = tempfile.TemporaryDirectory(prefix="workshop-")  # of this run: another may mark the same answer now
        self._book = Ledger(Path(self._folder.name, "engraved.jsonl"), sync=False)
        self.jobs: list[str] = []
        self.bell, self.heard = Bell(), Bell()
        attempt.declare(QUEUE)
        self.publish(0, jobs)

    def publish(self, first: int, end: int) -> None:
        """Publish the jobs with these numbers."""
        new = [f"job {n}" for n in range(first, end)]
        self.jobs += new
        self._attempt.publish(QUEUE, *new)

    def begun(self) -> list[str]:
        """The jobs that a machine was given, one after the other."""
        return [entry.id for entry in self._book.entries() if entry.what == STARTED]

    def engraved(self) -> list[str]:
        """The jobs that are done."""
        return [entry.id for entry in self._book.entries() if entry.what == DONE]

    def start(self, share: int, jam: Bell | None = None, stuck_at="", rings_after="", jams_at="", parameters=None, raises=()):
        """Start a worker.

        Args:
            share: Of the jobs.
            jam: Until it is rung, the job *stuck_at* is not done.
            stuck_at: That job.
            rings_after: The job after which the bell is rung.
            jams_at: The job at which the machine raises.
            parameters: To connect with, if not the usual ones.
            raises: What the check judges when work() raises it; anything else is told with the line that raised it.
        """

        def engrave(body):
            job = body.decode() if isinstance(body, bytes) else repr(body)
            self._book.start(job)
            if job == jams_at:
                raise Jammed("a mug is stuck")
            if job == stuck_at:
                jam.rung(within=PATIENCE * 2)
            self._book.effect(job)
            if job == rings_after:
                self.bell.ring()

        def closing():
            rung = self.bell.rung()
            if rung and not self.heard.rung():
                self.heard.ring()
            return rung

        def day(mine):
            returned, error = None, ""
            try:
                returned = mine.work(parameters or self._attempt.parameters(), share, engrave, closing)
            except raises as raised:
                error = type(raised).__name__
            left_open = self._attempt.left_open()
            seen = {"returned": returned, "error": error, "open": left_open}
            return {**seen, "ready": self._attempt.depth(QUEUE), "unacked": self._attempt.unacked(QUEUE)}

        return self._answer.start(day, within=PATIENCE * 3, so_far=lambda: f"engraved were {told(self.engraved())}")


def wait(attempt, running, condition) -> None:
    """Wait until the condition holds, or the program has ended, or it takes too long; what is missing then, the check will say."""
    attempt.comes_true(lambda: condition() or not running.alive, within=PATIENCE)


def heartbeats(attempt) -> set[int]:
    """What RabbitMQ and the answer's connections have agreed on, as far as it is known by now."""
    found = management.call("GET", "vhosts", attempt.vhost, "connections")
    return {c["timeout"] for c in found if c.get("user") == attempt.user and "timeout" in c}


def judge_copies(shop: Shop, engraved: list[str], saw: str) -> None:
    """Each job once."""
    copies = Counter(engraved)
    missing = [job for job in shop.jobs if not copies[job]]
    assert not missing, feedback(
        saw=f"{saw} Never engraved: {told(missing)}.",
        rule="RabbitMQ delivers each message to one consumer; what nobody has taken, or has not acknowledged, is still there.",
        look="What your program does with a job that it has taken, and what ends its loop",
    )
    twice = [job for job, times_engraved in copies.items() if times_engraved > 1]
    assert not twice, feedback(
        saw=f"{saw} Engraved more than once: {told(twice)}.",
        rule="RabbitMQ delivers a message again only when somebody gave it back, or left without acknowledging it.",
        look="What your program acknowledges, and when; Lesson 1.2, 'Leave without signing'",
    )


def told(names: list[str]) -> str:
    """Jobs in words: "job 2, job 3"."""
    shown = ", ".join(str(name)[:40] for name in names[:6])
    return (shown + (f" and {len(names) - 6} more" if len(names) > 6 else "")) or "none"


def jobs(number: int) -> str:
    """A number of jobs in words."""
    return f"{number or 'no'} job{'s' * (number != 1)}"


def times(number: int) -> str:
    """A number of times in words."""
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number} times")
