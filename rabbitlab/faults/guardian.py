"""The guardian: a process that mends what another one broke, should that one be killed.

It waits at the end of a pipe, as a shell of a megabyte. A word on it says that all is well; an end without a word says that the process
that broke the cluster is gone. Then it becomes a Python that heals. It holds that process's turn on the cluster meanwhile, so that nobody
else gets one, and a lock of its own, so that one at a time heals. Ctrl-C in the terminal does not reach it: it has its own session.
"""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rabbitlab import lock
from rabbitlab.errors import Mendable
from rabbitlab.units import ROOT, STATE

LOG = STATE / "guardian.log"
WAITING = 'read -r word && exit 0; exec "$0" -P -m rabbitlab.faults.guardian'
PATIENCE = 180  # seconds: longer than one healing takes


class Guardian:
    """One that waits, from now on.

    Raises:
        Mendable: another one is still at work.
    """

    def __init__(self):
        own = _own_lock()
        descriptors = [own] + ([lock.descriptor()] if lock.descriptor() >= 0 else [])
        far, self._near = os.pipe()
        try:
            with LOG.open("a") as log:
                self._process = subprocess.Popen(
                    ["sh", "-c", WAITING, sys.executable],
                    stdin=far,
                    stdout=log,
                    stderr=log,
                    cwd=ROOT,
                    start_new_session=True,
                    pass_fds=descriptors,
                )
        except BaseException:
            os.close(self._near)
            raise
        finally:
            os.close(own)
            os.close(far)

    def dismiss(self) -> None:
        """All is well: it ends."""
        with suppress(OSError):  # it was ended already
            os.write(self._near, b"whole\n")
        self.leave_to()
        self._process.wait()

    def leave_to(self) -> None:
        """Let it heal in our place, now."""
        if self._near >= 0:
            os.close(self._near)
            self._near = -1


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait until no guardian waits or works, and keep others from beginning.

    Raises:
        Mendable: one is at work for too long.
    """
    held = _own_lock()
    try:
        yield
    finally:
        os.close(held)


def _own_lock() -> int:
    STATE.mkdir(exist_ok=True)
    descriptor = os.open(STATE / "guardian.lock", os.O_RDWR | os.O_CREAT, 0o666)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise Mendable(f"Another process breaks or heals the cluster for {PATIENCE} s by now ({LOG}). See: ./lab doctor") from None
            time.sleep(0.05)


def _heal() -> None:
    """What a guardian does when its process is gone."""
    from rabbitlab import healing

    def tell(sentence: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {sentence}", flush=True)

    tell("a process that broke the cluster is gone; healing")
    healing.heal(tell)
    tell("the cluster is whole")


if __name__ == "__main__":
    _heal()
