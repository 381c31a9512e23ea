"""One run of one row: a virtual host of its own, a publisher, a consumer, a ledger, and the faults that happen to them."""

import json
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rabbitlab import broker
from rabbitlab.errors import Mendable
from rabbitlab.grading import room
from rabbitlab.ledger import CONFIRMED, DONE, SENT, STARTED, Ledger, Verdict
from rabbitlab.matrix.program import Program
from rabbitlab.matrix.row import MESSAGES, Row
from rabbitlab.matrix.watch import Watch
from rabbitlab.nodes import BY_NAME, HOST, NODES
from rabbitlab.proxy import Proxy

QUEUE, DEAD = "orders", "orders.dead"
PROGRAMS = "tests.fault_matrix.programs"
RETRIES = {"limit": 4, "base": 0.5, "factor": 2.0, "cap": 5.0}  # of a consumer of ours: calls of a handler, and seconds
PREFETCH = 50  # messages
RATE = 150  # messages a second
STARTED_WITHIN = 30  # seconds
FLOWS_WITHIN = 90  # seconds: far above every limit, so that a late recovery is measured and not cut off
STALLED = 60  # seconds in which nothing is handled, though something is to be handled
PARKED = 3  # seconds after which a queue takes back what an unreachable consumer has; 60 by default
LATE = 20  # seconds after the last heal: what has not come by then, with PARKED as it is, does not come
SETTLED = 1.0  # seconds for which messages flow again before the publisher may end


class Missed(Exception):
    """A promise that was seen not to be kept."""


@dataclass
class Mark:
    """A fault as it was seen: drawn into the timeline, saved with the result.

    Attributes:
        name: Of the fault.
        began: When it was there, in seconds of ``time.monotonic()``.
        ended: When all was well again.
        mending: When mending began.
        well: When what the fault had taken away was seen to be back, where somebody looked.
    """

    name: str
    began: float
    ended: float | None = None
    mending: float | None = None
    well: float | None = None


class Scene:
    """Where a row is played.

    Args:
        row: The row.
        seed: Of everything that is left to chance here.
        number: Of the run; rows that can strike several roles take turns by it.
        folder: For ledger, logs and picture; made.
        programs: Which of the programs play: ``patterns``, or ``plain`` and ``careless`` to see what they are spared.
        say: Is given what happens, one sentence each.
        messages: How many are sent at least.

    Attributes:
        random: Made of the seed.
        ledger: The ledger's path.
        watch: What it says so far.
        marks: The faults so far.
        missed: Promises that were not kept, one sentence each.
        notes: What else is worth knowing.
        dead: Ids found dead-lettered, with the headers they had.
        dead_at: When each of them was seen there, of a scene that :meth:`watches_dead_letters`.
        ready: Ids found in a queue at the end, which nobody handled.
        supervised: Whether a consumer that ends by itself is started again, as a supervisor does.
        restarts: How often that was done.
    """

    def __init__(self, row: Row, seed: int, number: int, folder: Path, programs: str, say: Callable[[str], None], messages: int = MESSAGES):
        self.row, self.number, self.folder, self.say, self.messages = row, number, folder, say, messages
        self.random = random.Random(seed)
        self.programs = programs
        folder.mkdir(parents=True, exist_ok=True)
        self.ledger = folder / "ledger.jsonl"
        self._ledger = Ledger(self.ledger)  # makes the file
        self.watch = Watch(self.ledger)
        self.marks: list[Mark] = []
        self.missed: list[str] = []
        self.notes: list[str] = []
        self.dead: dict[str, dict] = {}
        self.dead_at: dict[str, float] = {}
        self.ready: list[str] = []
        self.publishers: list[Program] = []
        self.consumers: list[Program] = []
        self.supervised = False
        self.restarts = 0
        self._ended: list[Program] = []  # of those that were ended on the way

    def __enter__(self) -> "Scene":
        room.sweep()
        self._room = room.Room(f"attempt-faults-{self.row.name}-{secrets.token_hex(3)}")
        try:
            self._lift_limits()
            broker.wait_until(self._runs_everywhere, STARTED_WITHIN, f"the virtual host {self.vhost} runs on every node")
            self.declare()
        except BaseException:
            self._room.remove()
            raise
        return self

    def __exit__(self, *_) -> None:
        for program in self.publishers + self.consumers + self._ended:
            program.end()
        with suppress(TimeoutError):  # the next one sweeps it
            broker.wait_until(self._removed, STARTED_WITHIN)

    def _removed(self) -> bool:
        try:
            self._room.remove()
        except Mendable:  # the cluster is busy: the verdict stands all the same
            return False
        return True

    def _runs_everywhere(self) -> bool:
        states = broker.api(broker.path("vhosts", self.vhost)).get("cluster_state", {})
        return all(states.get(node.erlang_name) == "running" for node in NODES)

    def _lift_limits(self) -> None:
        """Let it have no limits. To keep a limit of connections, each login asks every node how many it has, also one that is cut off."""
        for kind, limits in (("vhost-limits", room.VHOST_LIMITS), ("user-limits", room.USER_LIMITS)):
            for limit in limits:
                broker.api(broker.path(kind, self.vhost, limit), "DELETE")

    # The stage

    @property
    def vhost(self) -> str:
        """The scene's virtual host."""
        return self._room.name

    def urls(self, *ports: int) -> list[str]:
        """The nodes by AMQP URL, or other ports of this machine."""
        login = f"{self._room.name}:{self._room.password}"
        return [f"amqp://{login}@{HOST}:{port}/{self.vhost}" for port in ports or [node.amqp for node in NODES]]

    def options(self, role: str, **more) -> dict:
        """What a program is given."""
        common = {
            "urls": self.urls(),
            "queue": QUEUE,
            "dead": DEAD,
            "ledger": str(self.ledger),
            "folder": str(self.folder),
            "retries": RETRIES,
        }
        publisher = {"number": self.messages, "rate": RATE, "seed": self.random.randrange(1 << 30)} if role == "publisher" else {}
        consumer = {"prefetch": PREFETCH} if role == "consumer" else {}
        own = getattr(self.row, role, {})
        return {**common, "careless": self.programs == "careless", **publisher, **consumer, **own, **more}

    def declare(self) -> dict:
        """Have the administrator's program declare the queues, and let the policy of the row apply to them."""
        told = self.topology()
        if told.get("error"):
            raise Mendable(f"The queues of the scene cannot be declared: {told['error']}")
        self.policy("graded", ".*", {}, 0)
        if self.row.policy:
            self.policy("row", f"^{QUEUE}$", self.row.policy, 1)
        return told

    def topology(self, **more) -> dict:
        """What the administrator's program answers: ``{"queues": [...], "seconds": 0.1}``, or ``{"error": "..."}``."""
        program = Program("topology", self._program("topology"), self.options("topology", **more), self.folder)
        try:
            program.ask_to_end()
            return program.wait_for("declared", STARTED_WITHIN) or {"error": program.last_words()}
        finally:
            program.end()

    def policy(self, name: str, pattern: str, definition: dict, priority: int) -> None:
        """A policy on quorum queues; each takes back soon what an unreachable consumer has."""
        body = {
            "pattern": pattern,
            "apply-to": "quorum_queues",
            "priority": priority,
            "definition": {"consumer-disconnected-timeout": PARKED * 1000, **definition},
        }
        broker.api(broker.path("policies", self.vhost, name), "PUT", body)

    # The players

    def start(self, publisher: dict | None = None, consumer: dict | None = None) -> None:
        """Start a consumer and a publisher, and wait until messages flow."""
        self.start_consumer(**(consumer or {}))
        self.start_publisher(**(publisher or {}))
        self.flow(what="the first messages are handled")
        self.elapse(self.random.uniform(1.5, 3.5))

    def start_publisher(self, **more) -> Program:
        """Start a publisher; it sends until :meth:`finish`, and at least so many messages as the row asks for."""
        before = sum(program.name == "publisher" for program in self.publishers + self._ended)
        self.publishers.append(self._start("publisher", {"first": SENT_IDS * before, **more}))
        return self.publishers[-1]

    def start_consumer(self, **more) -> Program:
        """Start a consumer."""
        self.consumers.append(self._start("consumer", more))
        return self.consumers[-1]

    def _start(self, role: str, more: dict) -> Program:
        program = Program(role, self._program(role), self.options(role, **more), self.folder)
        if not program.wait_for("ready", STARTED_WITHIN) or program.status is not None:
            words = program.last_words()
            program.end()
            raise Missed(f"the {role} does not start: {words}")
        return program

    def _program(self, role: str) -> str:
        return f"{PROGRAMS}.{'patterns' if self.programs == 'patterns' else 'plain'}.{role}"

    # The play

    @contextmanager
    def fault(self, fault: AbstractContextManager, name: str = "", well: Callable[[], bool] | None = None) -> Iterator[Mark]:
        """A fault of :mod:`rabbitlab.faults`, or another context manager, as the scene's own.

        Args:
            fault: The context manager.
            name: Of the fault; its own unless given.
            well: Asked again and again while it is mended: whether what it took away is back.
        """
        mark = Mark(name, time.monotonic())
        try:
            with fault as made:
                mark.began, mark.name = getattr(made, "began", mark.began), name or getattr(made, "name", "fault")
                self.marks.append(mark)
                self.say(f"{mark.name}{''.join(f' ({note})' for note in self.notes[-1:])}")
                try:
                    yield mark
                finally:
                    mark.mending = time.monotonic()
                    self.say(f"mending: {mark.name}")
                    if well:
                        threading.Thread(target=self._look, args=[mark, well], daemon=True).start()
        finally:
            mark.ended = time.monotonic()

    def _look(self, mark: Mark, well: Callable[[], bool]) -> None:
        with suppress(TimeoutError):
            broker.wait_until(well, FLOWS_WITHIN)
            mark.well = time.monotonic()

    def flow(self, since: float = 0.0, number: int = 1, within: float = FLOWS_WITHIN, what: str = "messages flow again") -> None:
        """Wait until a message was handled after *since*, and *number* more than now are; a program that ends meanwhile is a miss."""
        first = self.watch.look().number(DONE)

        def flows() -> bool:
            look = self.watch.look()
            return look.last.get(DONE, 0.0) > since and (number == 1 or look.number(DONE) >= first + number)

        self.wait(flows, within, what)

    def wait(self, condition: Callable[[], object], within: float, what: str) -> None:
        """Wait until it holds.

        Raises:
            Missed: it does not in time, or a program ended by itself.
        """

        def holds() -> bool:
            self.watch_programs()
            return bool(condition())

        try:
            broker.wait_until(holds, within, what, seen=self.seen)
        except TimeoutError as error:
            raise Missed(str(error)) from None

    def watch_programs(self) -> None:
        """See that the programs run.

        Raises:
            Missed: one has ended by itself.
        """
        for program in [one for one in self.publishers + self.consumers if one.status is not None and not one.event("done")]:
            (self.publishers if program in self.publishers else self.consumers).remove(program)
            self._ended.append(program)
            if not self.supervised or program.name == "publisher":
                raise Missed(f"the {program.name} ended by itself with {program.status}: {program.last_words()}")
            self.restarts += 1
            self.start_consumer()

    def seen(self) -> str:
        """The ledger's figures so far."""
        look = self.watch.look()
        return ", ".join(f"{look.number(what)} {word}" for what, word in ((SENT, "sent"), (CONFIRMED, "confirmed"), (DONE, "handled")))

    def elapse(self, seconds: float, since: float | None = None) -> None:
        """Let the fault last: so many seconds from *since*, or from now."""
        until = (time.monotonic() if since is None else since) + seconds
        self.wait(lambda: time.monotonic() >= until, seconds + 10, f"{seconds:.0f} s have gone by")

    def terminate(self, role: str, within: float) -> float:
        """Ask the running program to end, as ``docker stop`` does; when it was asked.

        Raises:
            Missed: it has not ended in time, or with an error.
        """
        program = (self.publishers if role == "publisher" else self.consumers).pop()
        self._ended.append(program)
        asked = time.monotonic()
        self.say(f"SIGTERM to the {role}")
        program.signal()
        if not program.ended(within):
            raise Missed(f"the {role} does not end within {within:.0f} s after SIGTERM")
        self.marks.append(Mark(f"{role} ends", asked, time.monotonic(), asked))
        if program.status != 0:
            raise Missed(f"the {role} ended with {program.status} after SIGTERM: {program.last_words()}")
        return asked

    def pause(self) -> None:
        """Let the publisher come to rest, and everything it has sent be handled."""
        for program in self.publishers:
            program.tell("pause")
            self.wait(lambda program=program: program.event("paused"), FLOWS_WITHIN, "the publisher comes to rest")
        self.wait(lambda: not self.watch.look().not_arrived(), FLOWS_WITHIN, "everything that was sent is handled")

    def resume(self) -> None:
        """Let the publisher go on."""
        for program in self.publishers:
            program.tell("go")

    def poison(self) -> dict[str, list[float]]:
        """The ids whose handler raises each time, and when it was called, of those that were tried at all."""
        wanted = {id for id, do in self.special().items() if do == "raise"}
        tried: dict[str, list[float]] = {}
        for entry in self.watch.look().entries:
            if entry.what == STARTED and entry.id in wanted:
                tried.setdefault(entry.id, []).append(entry.at)
        return tried

    def usual_way(self) -> float:
        """Seconds that 19 of 20 ordinary messages need at most, from their publisher to their handler: what the machine makes of it."""
        sent: dict[str, float] = {}
        ways = {}
        for entry in self.watch.look().entries:
            if entry.what == SENT:
                sent.setdefault(entry.id, entry.at)
            elif entry.what == STARTED and entry.id in sent:
                ways.setdefault(entry.id, entry.at - sent[entry.id])
        return sorted(ways.values())[int(0.95 * len(ways))] if ways else 0.0

    @contextmanager
    def watches_dead_letters(self) -> Iterator[None]:
        """Take each dead letter as it comes, and note when that was."""
        over = threading.Event()
        watching = threading.Thread(target=self._watch_dead_letters, args=[over], daemon=True)
        watching.start()
        try:
            yield
        finally:
            over.set()
            watching.join()

    def _watch_dead_letters(self, over: threading.Event) -> None:
        import pika

        with pika.BlockingConnection(self._room.parameters) as connection:
            channel = connection.channel()
            for method, properties, _ in channel.consume(DEAD, auto_ack=True, inactivity_timeout=0.2):
                if method:
                    self.dead_at[str(properties.message_id)] = time.monotonic()
                    self.dead[str(properties.message_id)] = _plain(properties.headers or {})
                elif over.is_set():
                    return

    @contextmanager
    def probe(self, node: str) -> Iterator[list[float]]:
        """Publish one message more through *node*, which shall not be able to confirm it; what waits for it is cut off at the end.

        Yields:
            When it was confirmed, if it was.
        """
        id, confirmed = f"probe-{secrets.token_hex(3)}", []
        with Proxy(to=BY_NAME[node].amqp) as proxy:
            asking = threading.Thread(target=self._probe, args=[id, proxy.port, confirmed], daemon=True)
            asking.start()
            yield confirmed
        asking.join()

    def _probe(self, id: str, port: int, confirmed: list[float]) -> None:
        import pika
        from pika.adapters.utils.connection_workflow import AMQPConnectorException

        self._ledger.invoke(id)
        try:
            with pika.BlockingConnection(pika.URLParameters(self.urls(port)[0])) as connection:
                channel = connection.channel()
                channel.confirm_delivery()
                body = json.dumps({"id": id, "do": ""}).encode()
                channel.basic_publish("", QUEUE, body, pika.BasicProperties(message_id=id, delivery_mode=2), mandatory=True)
                confirmed.append(time.monotonic())
                self._ledger.ok(id)
        except (pika.exceptions.AMQPError, AMQPConnectorException, OSError):
            if not confirmed:
                self._ledger.unknown(id)

    def special(self) -> dict[str, str]:
        """The ids that ask their handler for something: ``{"17": "raise"}``."""
        return {
            id: do
            for program in self.publishers + self._ended
            if (ready := program.event("ready"))
            for id, do in ready.get("special", {}).items()
        }

    def told(self, event: str) -> list[dict]:
        """What the programs told under this name."""
        return [found for program in self.publishers + self.consumers + self._ended for found in program.events(event)]

    def megabytes(self) -> float:
        """The memory of the publisher and the consumer now."""
        import psutil

        return sum(psutil.Process(program.pid).memory_info().rss for program in self.publishers + self.consumers) / 2**20

    def check(self, holds: object, sentence: str) -> None:
        """Note a promise that is not kept."""
        if not holds:
            self.missed.append(sentence)

    def leader(self) -> str:
        """The node that leads the work queue."""
        broker.wait_until(lambda: broker.leader(QUEUE, vhost=self.vhost), 30, f"{QUEUE} has a leader")
        return broker.leader(QUEUE, vhost=self.vhost)

    def node_of(self, role: str) -> str:
        """The node that the publisher, or the consumer, is connected to.

        Raises:
            Missed: it is not connected.
        """
        found: list[str] = []

        def known() -> bool:
            listed = broker.api(broker.path("vhosts", self.vhost, "connections") + "?columns=node,client_properties")
            named = [one for one in listed if (one.get("client_properties") or {}).get("connection_name") == role]
            found[:] = [one["node"].partition("@")[2] for one in named]
            return bool(found)

        self.wait(known, 15, f"the {role} is connected")
        return found[0]

    def victim(self) -> str:
        """The node to strike: the leader's, the publisher's, the consumer's, by turns; says whose it is."""
        nodes = {"leader": self.leader(), "publisher": self.node_of("publisher"), "consumer": self.node_of("consumer")}
        turn = list(nodes)[self.number % len(nodes)]
        roles = [role for role, node in nodes.items() if node == nodes[turn]]
        self.notes.append(f"{nodes[turn]}: {', '.join(roles)}")
        return nodes[turn]

    # The end

    def finish(self) -> Verdict:
        """Let the publisher send what it has to send, drain, end the consumer, read the dead letters, and judge."""
        for step in (self._end_publishers, self._drain, self._end_consumers):
            try:
                step()
            except Missed as missed:
                self.missed.append(str(missed))
        self._read_dead_letters()
        for name in broker.queues(vhost=self.vhost):
            self.ready += [id for id, _ in self._take(name)]
        return self.verdict()

    def verdict(self) -> Verdict:
        """What became of the messages, as far as is known by now."""
        return Ledger(self.ledger, sync=False).verdict(dead=self.dead, ready=self.ready)

    def reports(self, role: str) -> list[dict]:
        """The last words of each publisher, or consumer."""
        return [
            report
            for program in self.publishers + self.consumers + self._ended
            if program.name == role and (report := program.event("done"))
        ]

    def _end_publishers(self) -> None:
        for program in self.publishers:
            program.ask_to_end()
        longest = self.messages / self.row.publisher.get("rate", RATE) + 2 * FLOWS_WITHIN
        self.wait(lambda: all(program.status is not None for program in self.publishers), longest, "the publisher has sent everything")
        for program in self.publishers:
            self.check(program.ended(1) and program.status == 0, f"the publisher ended with {program.status}: {program.last_words()}")

    def _end_consumers(self) -> None:
        for program in self.consumers:
            program.signal()
        for program in self.consumers:
            if not program.ended(STARTED_WITHIN):
                raise Missed(f"the consumer does not end within {STARTED_WITHIN} s after SIGTERM")
            self.check(program.status == 0, f"the consumer ended with {program.status}: {program.last_words()}")

    def _drain(self) -> None:
        """Wait until nothing is ready or unacknowledged, and nothing that was confirmed is missing; or nothing can come any more."""
        self.say(f"all is sent; draining ({self.seen()})")
        last = max((mark.ended or 0.0 for mark in self.marks), default=0.0)

        def empty() -> bool:
            names = [name for name in broker.queues(vhost=self.vhost) if name != DEAD]
            quick = broker.counts(names, vhost=self.vhost, fresh=False)
            if any(found.ready for found in quick.values()):
                return False
            found = broker.counts(names, vhost=self.vhost)
            return not any(found[name].ready or found[name].unacked for name in found)

        def done() -> bool:
            if not empty():
                return False
            self._read_dead_letters()
            missing = [id for id in self.watch.look().not_arrived() if id not in self.dead]
            return not missing or time.monotonic() > max(last, self.watch.last.get(DONE, 0.0)) + LATE

        handled = -1
        while handled < self.watch.look().number(DONE):  # as long as there is progress
            handled = self.watch.number(DONE)
            try:
                return self.wait(done, STALLED, "the queues are empty")
            except Missed as missed:
                stalled = missed
        raise stalled

    def _read_dead_letters(self) -> None:
        for id, headers in self._take(DEAD):
            self.dead[id] = headers

    def _take(self, queue: str) -> list[tuple[str, dict]]:
        """Take everything off a queue: ids and headers."""
        import pika

        if not broker.exists(queue, vhost=self.vhost):
            return []
        taken = []
        with pika.BlockingConnection(self._room.parameters) as connection:
            channel = connection.channel()
            while True:
                method, properties, _ = channel.basic_get(queue=queue)
                if method is None:
                    return taken
                taken.append((str(properties.message_id), _plain(properties.headers or {})))
                channel.basic_ack(delivery_tag=method.delivery_tag)


SENT_IDS = 1_000_000  # the second publisher of a scene counts from here


def _plain(headers: dict) -> dict:
    """Headers as JSON can hold them."""
    return json.loads(json.dumps(headers, default=str))
