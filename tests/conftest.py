"""What all tests of the package share: the cluster, when one runs."""

import os
import signal
import sys

import pytest

from rabbitlab import cluster, healing, lock, stalls
from rabbitlab.errors import Mendable


def pytest_configure():
    """Watch for stalls from the first moment; and hear Ctrl-C, as the programs do that tests interrupt.

    A shell's background job is started with SIGINT ignored, and hands that on.
    """
    stalls.lost()
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)  # what was deselected needs nothing
def pytest_collection_modifyitems(config, items):
    """Skip what needs a cluster where none runs, and say what starts it; in CI a missing cluster is a failure."""
    needing = [item for item in items if item.get_closest_marker("cluster")]
    if not needing or cluster.is_running():
        return
    if os.environ.get("CI"):
        raise pytest.UsageError(cluster.NOT_RUNNING)
    for item in needing:
        item.add_marker(pytest.mark.skip(reason=cluster.NOT_RUNNING))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """A test on the cluster has its turn there; one that breaks it, or restarts it, has the cluster to itself."""
    if item.get_closest_marker("faults") or item.get_closest_marker("restarts"):
        turn = lock.exclusive()
    elif item.get_closest_marker("cluster"):
        turn = lock.shared()
    else:
        return (yield)
    with turn:
        try:
            healing.before_use(lambda sentence: print(sentence, file=sys.stderr, flush=True))
        except Mendable as mendable:
            pytest.exit(str(mendable), returncode=1)
        return (yield)
