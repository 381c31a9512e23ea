"""The guardian: a process that mends what another one broke, should that one be killed.

It waits at the end of a pipe, as a shell of a megabyte. A word on it says that all is well; an end without a word says that the process
that broke the cluster is gone. Then it becomes a Python that heals. It holds that process's turn on the cluster meanwhile, so that nobody
else gets one, and a lock of its own, so that one at a time heals. Ctrl-C in the terminal does not reach it: it has its own session.
"""

import os
import subprocess
import sys
import time
from contextlib import suppress

from rabbitlab import lock
from rabbitlab.units import ROOT, STATE

LOG = STATE / "guardian.log"
WAITING = 'read -r word && exit 0; exec "$0" -P -c "from rabbitlab.faults import guardian; guardian.take_over()"'


class Guardian:
    """One that waits, from now on.

    Raises:
        Mendable: another one is still at work.
    """

    def __init__(self):
        LOG.parent.mkdir(exist_ok=True)
        own = lock.take_healing()
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


def take_over() -> None:
    """What a guardian does when its process is gone."""
    from rabbitlab import healing

    def tell(sentence: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {sentence}", flush=True)

    tell("a process that broke the cluster is gone; healing")
    healing.heal(tell)
    tell("the cluster is whole")
