"""What came out of the checks of one grader: as an object, and as JSON."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

NOT_REACHED, PASSED, FAILED = "not_reached", "passed", "failed"


@dataclass
class Check:
    """One test function of a grader.

    Attributes:
        name: ``test_an_order_survives_a_stumble``.
        outcome: ``passed``, ``failed`` or ``not_reached``.
        feedback: The parts of the feedback, when it failed: saw, rule, look.
    """

    name: str
    outcome: str = NOT_REACHED
    feedback: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The name as a sentence: "An order survives a stumble"."""
        words, bracket, case = self.name.removeprefix("test_").partition("[")
        words = words.replace("_", " ")
        return words[:1].upper() + words[1:] + (f" ({case.rstrip(']')})" if bracket else "")


@dataclass
class Results:
    """One grader, run against one answer.

    Attributes:
        key: The unit: ``module_1_foundations/ex_01_first_producer``.
        title: The first line of the grader's docstring.
        answer: The file or folder that was marked.
        verdict: ``passed``, or why not: ``failed``, ``not_started``, ``timeout``, ``exit``, ``flood``, ``syntax``, ``error``, or ``broken``
            when the grader itself stumbled, ``interrupted`` and ``no_cluster`` when nothing was judged.
        kept: Files of this attempt that the learner should see first, one sentence each: "Timeline of the run: .lab/...".
        printed: What the answer printed in the check that failed.
        seconds: From the start of the run, or the end of the grader before, to the end of the last check.
        broken: pytest's report of a grader that stumbled, or the sentence that says why nothing could be judged.
    """

    key: str
    title: str
    answer: Path
    checks: list[Check] = field(default_factory=list)
    verdict: str = ""
    kept: list[str] = field(default_factory=list)
    printed: str = ""
    seconds: float = 0.0
    broken: str = ""

    @property
    def passed(self) -> bool:
        return self.verdict == PASSED

    def check(self, name: str) -> Check:
        """The check of this name; made when it is new."""
        for check in self.checks:
            if check.name == name:
                return check
        self.checks.append(Check(name))
        return self.checks[-1]

    def conclude(self, otherwise: str) -> None:
        """Once all ran: passed when every check has; *otherwise* when some were never reached and none failed."""
        if not self.verdict:
            done = self.checks and all(c.outcome == PASSED for c in self.checks)
            self.verdict = PASSED if done else otherwise

    def as_dict(self) -> dict:
        """What ``--results`` writes."""
        checks = [{"name": c.name, "sentence": c.sentence, "outcome": c.outcome, "feedback": "\n".join(c.feedback)} for c in self.checks]
        return {
            "key": self.key,
            "answer": str(self.answer),
            "passed": self.passed,
            "verdict": self.verdict,
            "seconds": round(self.seconds, 3),
            "checks": checks,
            "kept": self.kept,
            "printed": self.printed,
            "broken": self.broken,
        }


def write(path: Path, results: list[Results]) -> None:
    """Write the results as JSON: one object for one grader, a list for several."""
    told = [r.as_dict() for r in results]
    write_whole(path, json.dumps(told[0] if len(told) == 1 else told, indent=1, ensure_ascii=False) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or what was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
