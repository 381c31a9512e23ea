"""The programs of project 4, as a user types them from the root of the repository."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from rabbitlab import broker, cluster
from rabbitlab.units import ROOT

BRIEF = ROOT / "docs/module_4_production/project_4_resilient_system.md"
QUEUES = ("shop.orders", "shop.orders.dead")


def commands() -> list[list[str]]:
    """The two lines of the brief."""
    printed = re.findall(r"^python (solutions/\S+\.py)$", BRIEF.read_text(), re.M)
    assert [line.rpartition("/")[2] for line in printed] == ["production_producer.py", "production_consumer.py"]
    return [[sys.executable, line] for line in printed]


def lines_until(program: subprocess.Popen, wanted: str, number: int) -> list[str]:
    """Its output, up to the line in which *wanted* comes for the nth time."""
    lines = []
    while sum(wanted in line for line in lines) < number:
        line = program.stdout.readline()
        assert line, f"it ended after: {lines}"
        lines.append(line)
    return lines


@pytest.fixture
def queues():
    """The programs' queues, which are gone afterwards unless they were there before."""
    before = set(broker.queues())
    yield
    broker.forget(*set(QUEUES) - before)


@pytest.mark.cluster
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_both_programs_run_as_printed_and_end_when_they_are_asked_to(queues, end):
    cluster.compose("up", "-d", capture=True, check=True)  # the first line; what runs already goes on
    environment = {name: value for name, value in os.environ.items() if name != "AMQP_URLS"}
    running = [subprocess.Popen(c, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) for c in commands()]
    try:
        sent = lines_until(running[0], "confirmed", 3)
        lines_until(running[1], sent[-1].split()[0], 1)
        for program in running:
            program.send_signal(end)
        deadline = time.monotonic() + 10
        assert [program.wait(timeout=max(0.1, deadline - time.monotonic())) for program in running] == [0, 0]
    finally:
        for program in running:
            program.kill()
            program.wait()
            program.stdout.close()
