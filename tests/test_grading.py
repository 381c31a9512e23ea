"""What grading promises on the live cluster: a verdict for every way in which an answer can end, and a broker that is as before."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import rabbitlab.management
from rabbitlab.errors import Mendable
from rabbitlab.grading import management
from rabbitlab.grading.answer import Answer
from rabbitlab.grading.attempt import Attempt
from rabbitlab.grading.room import attempt_room, fresh_vhost, sweep
from rabbitlab.grading.verdict import Late, Verdict
from rabbitlab.nodes import HOST, NODES, Node
from rabbitlab.units import ROOT
from tests.members import end_member

pytestmark = pytest.mark.cluster

GRADER = '''
"""Exercise 9.1: send three."""
from rabbitlab.grading import feedback


def test_three_arrive(attempt, answer):
    answer.run(lambda mine: mine.send(attempt.parameters(), 3), within=seconds(answer))
    held = attempt.depth("orders")
    assert held == 3, feedback(saw=f"We asked for three; the queue holds {held}.", rule="Each publish makes one.", look="Lesson 1.4")


def test_three_more_arrive(attempt, answer):
    answer.run(lambda mine: mine.send(attempt.parameters(), 3), within=seconds(answer))
    assert attempt.depth("orders") == 3, feedback(saw="The queue was not empty.", rule="A rule.", look="Lesson 1.4")


def seconds(answer):
    """Few for an answer that does not end; for any other, enough on a machine that has much else to do."""
    return 4 if answer.path.stem in ("loops_for_ever", "waits_for_ever") else 30
'''
OPEN = """
import pika
def send(parameters, count):
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.confirm_delivery()
"""
GOOD = f"""{OPEN}
    channel.queue_declare(queue="orders", durable=True)
    for number in range(count):
        channel.basic_publish(exchange="", routing_key="orders", body=b"x")
    connection.close()
"""
# Name: (the answer, the verdict, what its feedback says)
ENDS = {
    "good": (GOOD, "passed", ()),
    "untouched": ("def send(parameters, count):\n    raise NotImplementedError\n", "not_started", ("Not started yet", "function send()")),
    "one short": (GOOD.replace("range(count)", "range(count - 1)"), "failed", ("holds 2",)),
    "loops for ever": (
        GOOD.replace("connection.close()", "while True: pass"),
        "timeout",
        ("still running after 4 s", "while True: pass", "`orders` holds 3 messages", "1 connection is open"),
    ),
    "waits for ever": (
        GOOD.replace("connection.close()", "next(channel.consume(queue='orders'))\n    next(channel.consume(queue='orders'))\n    "
                     "channel.start_consuming()\n    next(channel.consume(queue='orders'))\n    next(channel.consume(queue='orders'))"),
        "timeout",
        ("still running after 4 s", "3 unacknowledged"),
    ),
    "sys.exit": ("import sys\ndef send(parameters, count):\n    sys.exit(3)\n", "exit", ("SystemExit(3)", "sys.exit(3)")),
    "os._exit": ("import os\ndef send(parameters, count):\n    os._exit(4)\n", "exit", ("exit status 4",)),
    "killed": ("import os\ndef send(parameters, count):\n    os.kill(os.getpid(), 9)\n", "exit", ("SIGKILL",)),
    "prints a megabyte": ("def send(parameters, count):\n    print('x' * 1_000_000)\n", "flood", ("more than 256 KB", "print('x'")),
    "prints for ever": ("def send(parameters, count):\n    while True:\n        print('hello')\n", "flood", ("more than 256 KB",)),
    "a thousand queues": (
        f"{OPEN}    for number in range(1000):\n        channel.queue_declare(queue=f'orders-{{number}}', durable=True)\n",
        "error",
        ("queue limit (50) is reached", "may limit how many queues", "queue_declare("),
    ),
    "connections without end": (
        "import pika\nkept = []\ndef send(parameters, count):\n    while True:\n        kept.append(pika.BlockingConnection(parameters))\n",
        "error",
        ("connection limit (20) is reached", "limit on connections"),
    ),
    "a syntax error": ("def send(parameters, count)\n    return 1\n", "syntax", ("a_syntax_error.py:1", "def send(parameters, count)")),
    "an import that fails": ("import nothing_of_this_name\n", "error", ("Importing your file", ".py:1", "nothing_of_this_name")),
    "an empty file": ("", "error", ("There is no `send`",)),
    "another signature": ("def send(parameters):\n    pass\n", "error", ("Calling your function", "takes 1 positional argument")),
    "no such exchange": (
        f"{OPEN}    channel.basic_publish(exchange='orders', routing_key='orders', body=b'x')\n",
        "error",
        ("404 NOT_FOUND - no exchange 'orders',", ":7: `channel.basic_publish(exchange='orders'", "default exchange"),
    ),
    "a transient queue": (
        f"{OPEN}    channel.queue_declare(queue='orders')\n",
        "error",
        ("541 INTERNAL_ERROR", "neither durable nor exclusive"),
    ),
    "other arguments": (
        f"{OPEN}    channel.queue_declare(queue='orders', durable=True)\n"
        "    channel.queue_declare(queue='orders', durable=True, arguments={'x-max-length': 3})\n",
        "error",
        ("406 PRECONDITION_FAILED", "asserts its properties"),
    ),
    "a queue that is not there": (
        f"{OPEN}    channel.basic_get(queue='order')\n",
        "error",
        ("404 NOT_FOUND - no queue 'order'", "exact name"),
    ),
    "unroutable": (
        f"{OPEN}    channel.basic_publish(exchange='', routing_key='order', body=b'x', mandatory=True)\n",
        "error",
        ("UnroutableError", "312 NO_ROUTE"),
    ),
    "a wrong password": (
        "import pika\ndef send(parameters, count):\n    parameters.credentials = pika.PlainCredentials('ada', 'x')\n"
        "    pika.BlockingConnection(parameters)\n",
        "error",
        ("ProbableAuthenticationError", "changes nothing"),
    ),
    "nobody at the port": (
        "import pika\ndef send(parameters, count):\n    parameters.port = 5999\n    pika.BlockingConnection(parameters)\n",
        "error",
        ("AMQPConnectionError", "No node answered"),
    ),
    "two threads on one connection": (
        "import pika\ndef send(parameters, count):\n"
        "    raise pika.exceptions.StreamLostError('Stream connection lost: IndexError(\"pop from an empty deque\")')\n",
        "error",
        ("StreamLostError", "serves one thread"),
    ),
    "asks for the keyboard": ("def send(parameters, count):\n    input('Go on?')\n", "error", ("EOFError", "no keyboard")),
    "does nothing": ("def send(parameters, count):\n    print('sent')\n", "failed", ("There is no queue `orders`, nor any",)),
    "returns what cannot travel": (GOOD.replace("connection.close()", "return channel"), "failed", ("BlockingChannel",)),
    "returns an object of its own": (
        GOOD + "    class Sent: pass\n    globals()['Sent'] = Sent; Sent.__qualname__ = 'Sent'\n    return Sent()\n",
        "failed",
        ("an object of the class Sent",),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def graded(tmp_path_factory) -> dict:
    """Every answer of ENDS, marked one after the other by pytest itself in one process; name -> what was written and printed."""
    folder = tmp_path_factory.mktemp("course") / "exercises" / "module_9_ends"
    folder.mkdir(parents=True)
    (folder / "test_ex_01_ends.py").write_text(GRADER.lstrip())
    for name, (source, *_) in ENDS.items():
        (folder / f"{name.replace(' ', '_')}.py").write_text(source)
    script = f"""
import contextlib, io, json, os, sys
from pathlib import Path
import pytest
from rabbitlab.grading import management, plugin, room

names, made = {list(ENDS)!r}, []
make = room.Room.__init__
def noting(self, name):
    made.append(name)
    make(self, name)
room.Room.__init__ = noting
for name in names:
    file = Path({str(folder)!r}) / (name.replace(" ", "_") + ".py")
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        arguments = ["test_ex_01_ends.py", "-p", "no:cacheprovider", "--answer", str(file), "--results", "now.json"]
        code = pytest.main(arguments, plugins=[plugin])
    vhosts = management.vhosts()
    users = [u["name"] for u in management.call("GET", "users")]
    left = [n for n in made if n in vhosts or n in users]
    left += [n for n in made if management.call("GET", "connections", "username", n)]
    told = dict(json.loads(Path("now.json").read_text()), code=code, shown=shown.getvalue(), left=left)
    Path(name.replace(" ", "_") + ".json").write_text(json.dumps(told))
"""
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: json.loads((folder / f"{name.replace(' ', '_')}.json").read_text()) for name in ENDS}


@pytest.mark.parametrize("name", ENDS)
class TestHowAnAnswerEnds:
    def test_has_a_verdict_that_says_what_happened(self, graded, name):
        _, verdict, says = ENDS[name]
        got = graded[name]

        assert got["verdict"] == verdict, got
        assert got["code"] == (0 if verdict == "passed" else 1)
        told = " ".join(check["feedback"] for check in got["checks"])
        for part in says:
            assert part in told
            assert " ".join(part.split())[:30] in " ".join(got["shown"].split())

    def test_shows_no_frame_of_ours_and_at_most_four_lines(self, graded, name):
        shown = graded[name]["shown"]
        assert "rabbitlab/" not in shown
        assert "Traceback" not in shown
        assert "assert " not in shown
        for check in graded[name]["checks"]:
            assert len(check["feedback"].splitlines()) <= 4

    def test_leaves_the_cluster_as_it_was(self, graded, name):
        assert graded[name]["left"] == []


def test_the_screen_lists_checks_as_sentences(graded):
    shown = graded["one short"]["shown"]
    assert "Exercise 9.1: send three" in shown
    assert "✗ Three arrive\n" in shown
    assert "· Three more arrive\n" in shown
    assert "0 of 2 checks passed in " in shown
    assert "✓ Three arrive\n" in graded["good"]["shown"]


def test_the_screen_shows_what_the_program_printed(graded):
    assert "Your program printed:\n    sent\n" in graded["does nothing"]["shown"]


@pytest.fixture(scope="module")
def room():
    room = attempt_room()
    yield room
    room.remove()


@pytest.fixture
def attempt(room):
    attempt = Attempt(room)
    yield attempt
    attempt.wipe()


@pytest.fixture
def answering(tmp_path, attempt):
    """Make an Answer of some source text."""

    def make(source: str) -> Answer:
        path = tmp_path / "ex_01_ends.py"
        path.write_text(source)
        return Answer(path, "ex_01_ends", attempt)

    return make


class TestRuns:
    def test_several_run_at_once_and_return_their_values(self, attempt, answering):
        answer = answering("import os\ndef number(n):\n    return n, os.getpid()\n")
        running = [answer.start(lambda mine, n=n: mine.number(n)) for n in range(3)]
        values = [r.wait().value for r in running]

        assert [n for n, _ in values] == [0, 1, 2]
        assert len({pid for _, pid in values}) == 3

    def test_a_killed_run_gives_its_messages_back(self, attempt, answering):
        attempt.declare("orders")
        attempt.publish("orders", "a", {"b": 1}, b"c")
        running = answering(
            "import pika, time\ndef hold(parameters):\n    channel = pika.BlockingConnection(parameters).channel()\n"
            "    channel.basic_get(queue='orders')\n    time.sleep(60)\n"
        ).start(lambda mine: mine.hold(attempt.parameters()), within=20)
        attempt.wait_until(lambda: attempt.unacked("orders") == 1)

        assert running.alive
        assert attempt.depth("orders") == 2
        running.kill()
        assert not running.alive
        assert attempt.depth("orders") == 3
        assert [body for body, _ in attempt.take("orders")] == [b"a", b'{"b": 1}', b"c"]
        assert running.wait().value is None

    def test_who_is_asked_to_end_may_end_in_its_own_way(self, answering):
        source = "import signal, time\n\ndef work():\n    asked = []\n    signal.signal(signal.SIGTERM, lambda *_: asked.append(True))\n"
        source += "    print('ready')\n    while not asked:\n        time.sleep(0.02)\n    return asked[0]\n"
        running = answering(source).start(lambda mine: mine.work())
        while b"ready" not in running._process.output:
            assert running.alive
        running.terminate()
        assert running.wait().value is True
        running.terminate()  # it is gone: nobody else is asked

    def test_who_does_not_expect_to_be_asked_is_ended(self, answering):
        running = answering("def work():\n    while True: pass\n").start(lambda mine: mine.work())
        running.terminate()
        with pytest.raises(Verdict, match="SIGTERM"):
            running.wait()

    def test_a_file_that_is_kept_is_named_and_the_one_before_gone(self, attempt, tmp_path, monkeypatch):
        monkeypatch.setattr("rabbitlab.grading.answer.STATE", ROOT / ".lab" / tmp_path.name)
        kept = []
        answer = Answer(ROOT / "exercises" / "module_9" / "project_9", "project_9", attempt, kept)
        path = answer.keep("timeline.svg", "Timeline of the run")
        path.write_text("<svg/>")
        assert path == ROOT / ".lab" / tmp_path.name / "attempts/exercises/module_9/project_9/timeline.svg"
        assert kept == [f"Timeline of the run: {path.relative_to(ROOT)}"]
        assert not answer.keep("timeline.svg").exists()
        assert len(kept) == 1
        shutil.rmtree(ROOT / ".lab" / tmp_path.name)

    def test_what_the_answer_started_ends_with_it(self, answering):
        answer = answering("import os, time\ndef go():\n    pid = os.fork()\n    if pid == 0:\n        time.sleep(60)\n    return pid\n")
        pid = answer.run(lambda mine: mine.go()).value
        end = time.monotonic() + 5
        while alive(pid) and time.monotonic() < end:
            time.sleep(0.02)
        assert not alive(pid)

    def test_expected_exceptions_come_back(self, attempt, answering):
        from pika.exceptions import AMQPError, ChannelClosedByBroker, UnroutableError

        run = answering(f"{OPEN}    channel.basic_get(queue='orders')\n").run(
            lambda mine: mine.send(attempt.parameters(), 1), raises=(AMQPError,)
        )
        assert isinstance(run.error, ChannelClosedByBroker)
        assert run.error.reply_code == 404

        unroutable = f"{OPEN}    channel.basic_publish(exchange='', routing_key='order', body=b'x', mandatory=True)\n"
        run = answering(unroutable).run(lambda mine: mine.send(attempt.parameters(), 1), raises=(UnroutableError,))
        assert isinstance(run.error, UnroutableError)

    def test_a_verdict_inside_the_run_comes_out_whole(self, attempt, answering):
        attempt.declare("order")
        with pytest.raises(Verdict) as outside:
            attempt.depth("orders")
        with pytest.raises(Verdict) as inside:
            answering("").run(lambda mine: attempt.depth("orders"), raises=(Exception,))
        assert inside.value.kind == outside.value.kind == "failed"
        assert inside.value.feedback.parts == outside.value.feedback.parts

        with pytest.raises(Late, match=r"We waited 0\.1 s for a packer") as late:
            answering("").run(lambda mine: attempt.wait_until(lambda: False, within=0.1, what="a packer"))
        assert late.value.kind == "timeout"

    def test_an_exception_that_hides_an_expected_one_is_told_so(self, attempt, answering):
        from pika.exceptions import AMQPError, ChannelClosedByBroker

        asks = f"{OPEN}    try:\n        channel.basic_get(queue='orders')\n    except Exception as error:\n"
        for behind in (" from error", ""):
            with pytest.raises(Verdict, match=r"RuntimeError: no, .*; pika's own ChannelClosedByBroker was expected to come through"):
                answering(f"{asks}        raise RuntimeError('no'){behind}\n").run(
                    lambda mine: mine.send(attempt.parameters(), 1), raises=(AMQPError,)
                )
        with pytest.raises(Verdict) as caught:
            answering(f"{asks}        raise RuntimeError('no')\n").run(lambda mine: mine.send(attempt.parameters(), 1))
        assert "come through" not in caught.value.feedback

        home_made = "def go():\n    try:\n        1 / 0\n    except ArithmeticError:\n        raise RuntimeError('no')\n"
        with pytest.raises(Verdict, match="; ZeroDivisionError was expected to come through"):
            answering(home_made).run(lambda mine: mine.go(), raises=(ChannelClosedByBroker, ZeroDivisionError))

    def test_printed_is_kept(self, answering):
        run = answering("import sys\ndef go():\n    print('one')\n    print('two', file=sys.stderr)\n").run(lambda mine: mine.go())
        assert run.printed == "one\ntwo\n"
        assert 0 < run.seconds < 10

    def test_how_far_it_got_stands_in_the_verdict(self, answering):
        answer = answering("import time\ndef go():\n    time.sleep(60)\n")
        with pytest.raises(Verdict) as caught:
            answer.run(lambda mine: mine.go(), within=0.5, so_far=lambda: "2 of 5 orders were packed")
        assert "2 of 5 orders were packed" in caught.value.feedback
        assert "time.sleep(60)" in caught.value.feedback

    def test_waiting_ends_when_a_run_fails(self, attempt, answering):
        answering("def go():\n    return 1 / 0\n").start(lambda mine: mine.go())
        with pytest.raises(Verdict, match="ZeroDivisionError"):
            attempt.wait_until(lambda: False, within=10)

    def test_waiting_in_vain_is_a_verdict_and_a_timeout(self, attempt):
        attempt.declare("orders")
        with pytest.raises(Late, match=r"We waited 0.2 s for the first order; the queue `orders` holds no messages"):
            attempt.wait_until(lambda: False, within=0.2, what="the first order")
        assert issubclass(Late, TimeoutError)

    def test_a_package_is_an_answer_too(self, attempt, tmp_path):
        package = tmp_path / "a_wrong_answer"
        package.mkdir()
        (package / "__init__.py").write_text("from .parts import double\n")
        (package / "parts.py").write_text("def double(n):\n    return 2 * n\n")
        answer = Answer(package, "project_9_parts", attempt)
        assert answer.run(lambda mine: mine.double(4)).value == 8


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class TestAttempt:
    def test_it_is_everywhere(self, attempt):
        import pika

        attempt.declare("orders")
        everywhere = attempt.everywhere(heartbeat=7)
        assert [(p.port, p.heartbeat, p.virtual_host) for p in everywhere] == [(n.amqp, 7, attempt.vhost) for n in NODES]
        for parameters in everywhere:
            with pika.BlockingConnection(parameters) as connection:
                assert connection.channel().queue_declare(queue="orders", passive=True).method.message_count == 0

    def test_connections_are_counted_at_once_on_every_node(self, attempt):
        import pika

        connections = [pika.BlockingConnection(attempt.parameters(port=port)) for port in (5672, 5673, 5674)]
        assert attempt.comes_true(lambda: attempt.connections() == 3, within=5)
        for connection in connections:
            connection.close()
        assert attempt.left_open() == 0

    def test_closing_connections_closes_them(self, attempt):
        import pika

        connection = pika.BlockingConnection(attempt.parameters())
        assert attempt.close_connections(at_least=1) == 1  # opened a moment ago: RabbitMQ may not list it yet
        with pytest.raises(pika.exceptions.ConnectionClosedByBroker):
            connection.process_data_events(time_limit=5)
        assert attempt.left_open(within=5) == 0
        assert attempt.close_connections() == 0

    def test_the_grader_counts_nowhere(self, attempt):
        attempt.declare("orders")
        attempt.publish("orders", "a")
        with attempt._channel():
            assert attempt.connections() == 0

    def test_a_policy_holds_until_the_check_is_over(self, attempt):
        attempt.declare("orders")
        attempt.policy("orders", max_length=1, overflow="drop-head")
        attempt.publish("orders", "a", "b")
        assert attempt.take("orders")[0][0] == b"b"
        attempt.wipe()
        assert management.call("GET", "policies", attempt.vhost) == []
        assert attempt.queues() == []

    def test_a_quorum_queue_with_a_member_too_few_is_wiped_too(self, attempt):
        """As an answer leaves it that deletes and declares it within the same blink; RabbitMQ waits five seconds for the member."""
        attempt.declare("orders", arguments={"x-queue-type": "quorum"})
        end_member("rabbit2", attempt.vhost, "orders", how="force_delete_server")
        attempt.wipe()
        assert attempt.queues() == []

    def test_a_queue_that_is_not_there_is_a_verdict(self, attempt):
        attempt.declare("order")
        for ask in (attempt.depth, attempt.unacked, attempt.queue, attempt.take):
            with pytest.raises(Verdict, match="There is no queue `orders`; the queues here are `order`"):
                ask("orders")
        assert attempt.exists("order")
        assert not attempt.exists("orders")

    def test_where_there_is_no_queue_at_all_the_virtual_host_is_named(self, attempt):
        """An answer that connects with parameters of its own leaves everything in another virtual host."""
        for ask in (attempt.depth, attempt.unacked, attempt.queue, attempt.take):
            with pytest.raises(Verdict, match="There is no queue `orders`, nor any: nothing of yours is in the virtual host") as caught:
                ask("orders")
            assert caught.value.feedback.parts[2].startswith("The `parameters` that your function was given; the name and the arguments")

    def test_an_exclusive_queue_is_a_verdict(self, attempt):
        import pika

        with pika.BlockingConnection(attempt.parameters()) as connection:
            connection.channel().queue_declare(queue="orders", exclusive=True)
            with pytest.raises(Verdict, match="exclusive to your connection"):
                attempt.depth("orders")


def test_a_walkthrough_has_a_vhost_of_its_own():
    import pika

    with fresh_vhost("ex_09") as parameters:
        assert parameters.virtual_host.startswith("walkthrough-ex_09-")
        with pika.BlockingConnection(parameters) as connection:
            connection.channel().queue_declare(queue="orders", durable=True)
    assert parameters.virtual_host not in management.vhosts()


class TestEndings:
    """A grading run that is itself ended."""

    def start(self, tmp_path) -> tuple[subprocess.Popen, str]:
        """A run whose answer hangs; returns it and the name of its vhost."""
        folder = tmp_path / "exercises" / "module_9_ends"
        folder.mkdir(parents=True)
        (folder / "test_ex_01_ends.py").write_text(GRADER.lstrip().replace("else 30", "else 60"))
        (folder / "ex_01_ends.py").write_text("import time\ndef send(parameters, count):\n    open('started', 'w')\n    time.sleep(60)\n")
        command = [sys.executable, "-m", "pytest", "-p", "rabbitlab.grading.plugin", "-p", "no:cacheprovider", "--results", "r.json"]
        run = subprocess.Popen(
            [*command, str(folder / "test_ex_01_ends.py")],
            cwd=tmp_path,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.wait_for((tmp_path / "started").exists)
        (name,) = self.rooms_of(run.pid)
        return run, name

    def rooms_of(self, pid: int) -> list[str]:
        return [name for name, told in management.vhosts().items() if f'"pid": {pid},' in told]

    def wait_for(self, condition, within: float = 30):
        end = time.monotonic() + within
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.05)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "kill -TERM"])
    def test_being_asked_to_end_it_cleans_up(self, tmp_path, number):
        run, name = self.start(tmp_path)
        run.send_signal(number)
        shown, _ = run.communicate(timeout=20)

        assert run.returncode != 0
        assert "Interrupted." in shown
        assert self.rooms_of(run.pid) == []
        assert name not in [u["name"] for u in management.call("GET", "users")]
        assert json.loads((tmp_path / "r.json").read_text())["verdict"] == "interrupted"

    def test_what_a_killed_run_left_is_swept_by_the_next(self, tmp_path):
        run, name = self.start(tmp_path)
        sweep()
        assert self.rooms_of(run.pid) == [name], "the room of a run that is alive stays"
        run.kill()
        run.communicate(timeout=20)  # its answer is gone with it, or this would wait for the minute that it sleeps
        sweep()
        assert self.rooms_of(run.pid) == []
        assert name not in [u["name"] for u in management.call("GET", "users")]


def test_a_cluster_that_goes_away_in_the_middle_is_no_verdict_on_the_answer(tmp_path):
    folder = tmp_path / "exercises" / "module_9_ends"
    folder.mkdir(parents=True)
    gone = """
from rabbitlab import management
from rabbitlab.nodes import Node

def test_it_goes_away(attempt, answer):
    management.NODES = [Node("rabbit1", amqp=1, management=1, metrics=1)]
    answer.start(lambda mine: mine.send())
    attempt.exists("orders")
"""
    (folder / "test_ex_01_ends.py").write_text(gone)
    (folder / "ex_01_ends.py").write_text("import time\ndef send():\n    time.sleep(60)\n")
    command = [sys.executable, "-m", "pytest", "-p", "rabbitlab.grading.plugin", "-p", "no:cacheprovider", "--results", "r.json"]
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run([*command, str(folder)], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30)
    sweep()

    assert done.returncode == 1
    assert "The cluster is not running. Start it with: ./lab up" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    results = json.loads((tmp_path / "r.json").read_text())
    assert (results["verdict"], results["broken"]) == ("no_cluster", "The cluster is not running. Start it with: ./lab up")


@pytest.fixture
def nodes(monkeypatch):
    """Three nodes that answer the management API with what they are told to, one after the other."""
    answers = []

    class Asked(BaseHTTPRequestHandler):
        def do_GET(self):
            status, text = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(ThreadingHTTPServer((HOST, 0), Asked)) for _ in range(3)]
        for server in made:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
        ports = [server.server_port for server in made]
        only(monkeypatch, *(Node(f"rabbit{n}", amqp=1, management=port, metrics=1) for n, port in enumerate(ports)))
        yield answers


def only(monkeypatch, *nodes: Node) -> None:
    """Let there be these nodes, and no others."""
    monkeypatch.setattr(rabbitlab.management, "NODES", nodes)
    monkeypatch.setattr(rabbitlab.management, "_answered", nodes[0])


def test_nodes_that_cannot_answer_for_a_moment_are_asked_again(nodes):
    nodes += [(500, b"a queue is being deleted")] * 4 + [(503, b"starting")] * 3 + [(200, b"[1]")]
    assert management.call("GET", "queues") == [1]


def test_nodes_that_cannot_answer_at_all_are_quoted(nodes):
    nodes += [(500, b"no majority")]
    with pytest.raises(Mendable, match=r"No node has answered GET /api/queues within 0.5 s, .*: 500 no majority\. .*\./lab doctor"):
        management.call("GET", "queues", patience=0.5)


def test_a_signal_is_heard_wherever_it_arrives(tmp_path):
    folder = tmp_path / "exercises" / "module_9_deaf"
    folder.mkdir(parents=True)
    deaf = """
import os, signal

class Deaf:
    def __del__(self):  # Python throws away what is raised here
        os.kill(os.getpid(), signal.SIGTERM)
        sum(range(1000))

def test_it_is_asked_to_end(attempt, answer):
    Deaf()

def test_it_goes_on(attempt, answer):
    pass
"""
    (folder / "test_ex_01_deaf.py").write_text(deaf)
    (folder / "ex_01_deaf.py").write_text("")
    command = [sys.executable, "-m", "pytest", "-p", "rabbitlab.grading.plugin", "-p", "no:cacheprovider", "--results", "r.json"]
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run([*command, str(folder)], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30)
    assert "Interrupted. The vhost and the user of this attempt are removed." in done.stdout
    assert "It goes on" not in done.stdout
    assert json.loads((tmp_path / "r.json").read_text())["verdict"] == "interrupted"


def test_nodes_that_are_there_and_do_not_answer_are_not_called_missing(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        only(monkeypatch, Node("rabbit1", amqp=0, management=silent.getsockname()[1], metrics=0))
        with pytest.raises(Mendable, match=r"No node has answered GET /api/overview within 0.2 s, though some are there; last: timed out"):
            management.call("GET", "overview", timeout=0.2, patience=0.2)


def test_plain_pytest_with_every_plugin_grades_alike(tmp_path):
    grader = ROOT / "exercises" / "module_1_foundations" / "test_ex_01_first_producer.py"
    solution = ROOT / "solutions" / "module_1_foundations" / "ex_01_first_producer.py"
    env = {key: value for key, value in os.environ.items() if key != "PYTEST_DISABLE_PLUGIN_AUTOLOAD"}
    command = [sys.executable, "-m", "pytest", "-p", "rabbitlab.grading.plugin", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, str(grader), "--answer", str(solution)], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 of 8 checks passed" in done.stdout
    assert "test session starts" not in done.stdout


def test_several_graders_in_one_run_are_told_apart(tmp_path):
    folder = tmp_path / "exercises" / "module_9_ends"
    folder.mkdir(parents=True)
    for number, source in (1, "def send(parameters, count):\n    raise NotImplementedError\n"), (2, GOOD):
        (folder / f"test_ex_0{number}_ends.py").write_text(GRADER.lstrip().replace("9.1", f"9.{number}"))
        (folder / f"ex_0{number}_ends.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-p", "rabbitlab.grading.plugin", "-p", "no:cacheprovider", "--results", "r.json"]
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run([*command, str(folder)], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)

    first, second = done.stdout.split("Exercise 9.2")
    assert "Not started yet" in first
    assert "0 of 2 checks passed" in first
    assert "2 of 2 checks passed" in second
    assert [r["verdict"] for r in json.loads((tmp_path / "r.json").read_text())] == ["not_started", "passed"]
    assert done.returncode == 1
