"""One grading run: its room on the broker, its results, and what it shows."""

import contextlib
import io
import signal
import time
from pathlib import Path

import pytest

from rabbitlab.errors import Mendable
from rabbitlab.grading import results as outcomes
from rabbitlab.grading.feedback import made_none, of_assertion
from rabbitlab.grading.results import Results
from rabbitlab.grading.screen import Screen
from rabbitlab.grading.verdict import Verdict

ASKED_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Grading:
    """Registered as a plugin of its own once a grader is met.

    Attributes:
        results: One for each grader, in order.
    """

    def __init__(self, config):
        self._config = config
        self._began = time.monotonic()
        self._room = None
        self._attempt = None
        self._answer = None
        self._handlers = {}
        self._checks = {}  # pytest's name of a check -> (results, check)
        self._screen: Screen | None = None
        self._sentence = ""  # in place of any result
        self._interrupted = self._asked_to_end = False
        self._standard = io.StringIO()
        self.results: list[Results] = []

    def take_over_screen(self) -> None:
        """Show checks as sentences; what pytest would have shown is kept for the case that something else went wrong."""
        from _pytest._io import TerminalWriter

        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            self._screen = Screen(reporter._tw)
            reporter._tw = TerminalWriter(self._standard)

    def expect(self, item) -> None:
        """Note a check before it runs."""
        results = self._of(item)
        self._checks[item.nodeid] = results, results.check(item.name)

    def is_over(self, item) -> bool:
        """True once a check of the same grader has failed."""
        return bool(self._of(item).verdict)

    def tell(self, item, call, report) -> None:
        """Turn pytest's report of one phase of a check into its outcome and feedback."""
        results = self._of(item)
        check = results.check(item.name)
        if report.when == "setup":
            made_none()
        if report.passed or report.skipped:
            if report.when == "call" and report.passed:
                check.outcome = outcomes.PASSED
        else:
            self._failed(results, check, call.excinfo.value, report)

    def pytest_runtest_logreport(self, report):
        """Show a check as soon as its outcome is known."""
        if self._screen and report.nodeid in self._checks and not report.skipped:
            results, check = self._checks[report.nodeid]
            if report.when == "call" or (report.when == "setup" and report.failed):
                self._screen.title(results)
                self._screen.check(check, results)

    def pytest_runtest_logfinish(self, nodeid):
        """When the last check of a grader is through, show what came out of it."""
        results, check = self._checks.get(nodeid, (None, None))
        if results and results.checks[-1] is check:
            self._conclude(results, otherwise="interrupted")
            if self._screen and not self._sentence:
                self._screen.end(results)

    @contextlib.contextmanager
    def attempt_for_check(self, item):
        """The attempt, wiped; its background runs are killed when the check is over.

        A check marked ``faults`` has the cluster to itself; others share it, so that a wrong answer which fails early keeps nobody waiting.
        """
        from rabbitlab import healing, lock

        with lock.exclusive(self._say) if item.get_closest_marker("faults") else lock.shared(self._say):
            if not self._attempt:
                self._hear_signals()
            with self._ending_without_a_cluster():
                healing.before_use(self._say)  # for each check: others had their turn since the last one
                attempt = self._attempt or self._open_room()
            self._end_if_asked()
            yield attempt
            attempt.wipe()
            self._end_if_asked()

    def answer(self, item, attempt):
        """The answer that *item* marks."""
        from rabbitlab.grading.answer import Answer

        results = self._of(item)
        self._answer = Answer(results.answer, item.path.stem.removeprefix("test_"), attempt, results.kept)
        return self._answer

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session, exitstatus):
        """Clean up first; then write the results and show the sum."""
        try:
            return (yield)
        finally:
            self._close_room()
            self._finish()

    def pytest_keyboard_interrupt(self, excinfo):
        """Ctrl-C, or a signal that asks to end; also what pytest.exit raises, which has a sentence."""
        self._interrupted = True

    def pytest_unconfigure(self):
        """Clean up, should the run have ended before its end."""
        self._close_room()

    def _open_room(self):
        import pika  # noqa: F401 - here, and not anew in each forked process

        from rabbitlab.grading.attempt import Attempt
        from rabbitlab.grading.room import attempt_room

        self._room = attempt_room()
        self._attempt = Attempt(self._room)
        return self._attempt

    def _hear_signals(self) -> None:
        for number in ASKED_TO_END:  # clean up, then end
            if signal.getsignal(number) != signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, self._ask_to_end)

    @contextlib.contextmanager
    def _ending_without_a_cluster(self):
        """End the run, with the sentence that says why, where the cluster cannot be used."""
        try:
            yield
        except Mendable as mendable:
            self._sentence = str(mendable)
            pytest.exit(str(mendable), returncode=1)

    def _ask_to_end(self, *_) -> None:
        self._asked_to_end = True
        raise KeyboardInterrupt

    def _end_if_asked(self) -> None:
        """Python throws away what is raised inside ``__del__``, or while it forks; so it is raised again, between checks.

        Not once pytest has heard it: what is raised while it cleans up keeps it from cleaning up the rest.
        """
        if self._asked_to_end and not self._interrupted:
            raise KeyboardInterrupt

    def _say(self, sentence: str) -> None:
        """At once, though what is printed while a check is made ready is kept back."""
        if self._screen:
            capture = self._config.pluginmanager.get_plugin("capturemanager")
            with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
                self._screen.sentence(sentence)

    def _close_room(self) -> None:
        room, self._room = self._room, None
        if room:
            from rabbitlab import lock

            with lock.shared():
                for end in (*(running.kill for running in self._attempt._running), room.remove):
                    try:
                        end()
                    except Mendable as mendable:  # the cluster is gone; when it is back, the next run sweeps up
                        self._sentence = str(mendable)
        while self._handlers:
            signal.signal(*self._handlers.popitem())

    def _failed(self, results: Results, check, error: BaseException, report) -> None:
        check.outcome = outcomes.FAILED
        told = of_assertion(error) if isinstance(error, AssertionError) else None
        if isinstance(error, Mendable):  # the cluster went away in the middle
            results.verdict, results.broken = "no_cluster", str(error)
            self._sentence = report.longrepr = str(error)
            return
        if isinstance(error, Verdict):
            results.verdict, told = error.kind, error.feedback
        elif told is not None:
            results.verdict = outcomes.FAILED
        else:
            results.verdict, results.broken = "broken", report.longreprtext
            return
        check.feedback = told.parts
        results.printed = self._answer.printed if self._answer else ""
        report.longrepr = str(told)

    def _conclude(self, results: Results, otherwise: str) -> None:
        now = time.monotonic()
        results.seconds, self._began = now - self._began, now
        results.conclude(otherwise)

    def _finish(self) -> None:
        for results in self.results:
            if not results.verdict:
                self._conclude(results, otherwise="no_cluster" if self._sentence else "interrupted")
        file = self._config.getoption("--results")
        if file and self.results:
            outcomes.write(Path(file), self.results)
        if self._screen:
            self._say_what_went_wrong()

    def _say_what_went_wrong(self) -> None:
        """With the run itself, and not with an answer; else nothing."""
        if self._sentence:
            self._screen.sentence(self._sentence)
        elif self._interrupted:
            self._screen.sentence("\nInterrupted. The vhost and the user of this attempt are removed.")
        elif not self.results or any(r.verdict == "interrupted" for r in self.results):  # nothing collected, or an error on the way
            self._screen.sentence(self._standard.getvalue())

    def _of(self, item) -> Results:
        stem = item.path.stem.removeprefix("test_")
        key = f"{item.path.parent.name}/{stem}"
        for results in self.results:
            if results.key == key:
                return results
        title = (item.module.__doc__ or stem).strip().partition("\n")[0]
        self.results.append(Results(key, title, self._find_answer(item.path, stem)))
        return self.results[-1]

    def _find_answer(self, grader: Path, stem: str) -> Path:
        given = self._config.getoption("--answer")
        if given:
            return (self._config.invocation_params.dir / given).resolve()
        package = grader.parent / stem
        return package if package.is_dir() else package.with_suffix(".py")
