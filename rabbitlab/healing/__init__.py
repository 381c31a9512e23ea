"""Put the cluster right from any state: look, mend what is seen, look again, until it is whole."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator

from rabbitlab import cluster, containers, lock, wholeness
from rabbitlab.errors import Mendable
from rabbitlab.healing import menders

WITHIN = 120  # seconds for all of it
STUCK = 3.0  # seconds in which nothing changes by itself: time to look for something to mend
TRIES = 3  # of starting a container, and of a mender that stumbles
AGAIN = 1.0  # seconds until a second look: who is at work may be late once, and what is broken stays broken


def put_right(tell: Callable[[str], None] = lambda sentence: None) -> list[str]:
    """Put the whole cluster right, from any state, and return when it is whole: :func:`heal`, when it is our turn.

    Args:
        tell: Is given what was mended, and what is waited for.

    Returns:
        What was mended, one sentence each; empty when there was nothing to mend.

    Raises:
        Mendable: what could not be mended.
    """
    with our_turn():
        return heal(tell)


@contextlib.contextmanager
def our_turn() -> Iterator[None]:
    """Have the cluster to oneself, or what turn this process has already, and be the only one who heals."""
    with contextlib.nullcontext() if lock.turn_here() else lock.exclusive(), lock.healing():
        yield


def before_use(say: Callable[[str], None]) -> None:
    """Look quickly whether the cluster can be used, and heal it first where it twice cannot. One that does not run stays as it is.

    Args:
        say: Is given a sentence when there is something to heal.

    Raises:
        Mendable: what could not be mended.
    """
    if not cluster.is_running() or not wholeness.missing(thorough=False):
        return
    time.sleep(AGAIN)
    if missing := wholeness.missing(thorough=False):
        say(f"The cluster is not whole: {missing}. Healing it first.")
        put_right()


def heal(tell: Callable[[str], None] = lambda sentence: None, within: float = WITHIN) -> list[str]:
    """Mend what is broken and return when the cluster is whole; nothing to mend costs two looks. Takes no turn and asks for none.

    Args:
        tell: Is given what was mended, and what is waited for.
        within: Seconds for all of it.

    Returns:
        What was mended, one sentence each.

    Raises:
        Mendable: it is not whole in time, with what is missing; or it was never started.
    """
    if not containers.all_of_them():
        raise Mendable(cluster.NOT_RUNNING)
    mended: list[str] = []
    stumbled: Counter = Counter()
    deadline = time.monotonic() + within
    while True:
        for mender in menders.MENDERS:
            for sentence in _done_by(mender, stumbled):
                tell(sentence)
                mended.append(sentence)
        _give_up_on_what_ends_again(mended)
        missing = _come_to_rest(tell, deadline)
        if not missing:
            return mended
        if time.monotonic() > deadline:
            raise Mendable(f"The cluster is not whole after {within:.0f} s: {missing}. To begin again: ./lab down, then ./lab up")


def settle() -> None:
    """Return when the cluster is whole; what does not come by itself is mended.

    Raises:
        Mendable: as :func:`heal`.
    """
    if _come_to_rest(lambda sentence: None, time.monotonic() + WITHIN):
        heal()


def wait(missing: Callable[[], str], within: float, what: str) -> None:
    """Return once *missing* says nothing more.

    Raises:
        Mendable: with what was missing last.
    """
    deadline = time.monotonic() + within
    pause = 0.05
    while seen := missing():
        if time.monotonic() > deadline:
            raise Mendable(f"Waited {within:.0f} s for: {what}. Seen last: {seen}. To put the cluster right: ./lab heal")
        time.sleep(pause)
        pause = min(pause * 1.3, 0.25)


def _done_by(mender: Callable[[], list[str]], stumbled: Counter) -> list[str]:
    """What *mender* says it has done. It may stumble over what changes at this moment: the others go on, and it has its turn again."""
    try:
        return mender()
    except (Mendable, LookupError, ValueError, OSError) as error:
        stumbled[mender] += 1
        if stumbled[mender] == TRIES:
            raise error if isinstance(error, Mendable) else Mendable(f"{type(error).__name__}: {error}") from error
        return []


def _come_to_rest(tell: Callable[[str], None], deadline: float) -> str:
    """What is missing when nothing more comes by itself; an empty string once the cluster is whole."""
    told, since, pause = "", time.monotonic(), 0.05
    while missing := wholeness.missing():
        now = time.monotonic()
        if missing != told:
            tell(f"waiting: {missing}")
            told, since = missing, now
        if now > deadline or now - since > STUCK:
            return missing
        time.sleep(pause)
        pause = min(pause * 1.3, 0.25)
    return ""


def _give_up_on_what_ends_again(mended: list[str]) -> None:
    """Raises Mendable for a container that was started several times, with the end of its log."""
    for service in cluster.SERVICES:
        if mended.count(menders.STARTED.format(service)) >= TRIES:
            raise Mendable(
                f"{service} ends again and again. The end of its log:\n{cluster.log_tail(service)}\nAll of it: ./lab logs {service}"
            )
