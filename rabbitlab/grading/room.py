"""A room of one's own: a vhost and a user, made for one run and removed afterwards, whatever happens.

The vhost's description says which process made it. A run that was killed cannot clean up; the next one finds its room, sees that
the process is gone, and removes it.
"""

import json
import os
import secrets
import time
from pathlib import Path

from rabbitlab.grading import management

PREFIXES = ("attempt-", "walkthrough-")
VHOST_LIMITS = {"max-queues": 50, "max-connections": 40}
USER_LIMITS = {"max-connections": 20, "max-channels": 200}
AN_HOUR = 3600
REMOVED_WITHIN = 20  # seconds: on a busy machine a virtual host full of quorum queues takes longer to go than an answer usually does


class Room:
    """A vhost and a user of the same name.

    Attributes:
        name: Of the vhost and of the user.
        password: The user's.
    """

    def __init__(self, name: str):
        """Make both, or neither."""
        self.name = name
        self.password = secrets.token_urlsafe(12)
        try:
            self._make()
        except BaseException:
            self.remove()
            raise

    @property
    def parameters(self):
        """``pika.ConnectionParameters`` of this room, at the node whose management API answers."""
        import pika

        return pika.ConnectionParameters(
            host="localhost",
            port=management.answering().amqp,
            virtual_host=self.name,
            credentials=pika.PlainCredentials(self.name, self.password),
        )

    def remove(self) -> None:
        """Remove user and vhost; connections that are open in them are closed. Twice does no harm."""
        remove(self.name)

    def _make(self) -> None:
        name, every = self.name, ".*"
        management.call("PUT", "vhosts", name, body={"description": json.dumps(_owner())})
        management.call("PUT", "users", name, body={"password": self.password, "tags": ""})
        management.call("PUT", "permissions", name, name, body={"configure": every, "write": every, "read": every})
        for limit, value in VHOST_LIMITS.items():
            management.call("PUT", "vhost-limits", name, limit, body={"value": value})
        for limit, value in USER_LIMITS.items():
            management.call("PUT", "user-limits", name, limit, body={"value": value})


class fresh_vhost:
    """An empty vhost for a walkthrough, with a user of its own.

    Either ``with fresh_vhost("ex_01") as parameters:`` in one cell, or ``room = fresh_vhost("ex_01")`` in the first cell and
    ``room.close()`` in the last; in between ``room.parameters`` connects and ``room.vhost`` names it for ``broker`` and ``topology``.

    Args:
        name: Of the walkthrough, part of the vhost's name. The rest of that name differs from run to run (the same notebook may be run
            twice at once), so do not print it. What a killed notebook leaves behind is removed by the next.
    """

    def __init__(self, name: str):
        sweep()
        self.vhost = f"walkthrough-{name}-{secrets.token_hex(3)}"
        self._room = Room(self.vhost)

    @property
    def parameters(self):
        """``pika.ConnectionParameters`` of this vhost and its user."""
        return self._room.parameters

    def close(self) -> None:
        """Remove the vhost and its user."""
        self._room.remove()

    def __enter__(self):
        return self.parameters

    def __exit__(self, *_):
        self.close()


def attempt_room() -> Room:
    """A room for one grading run; rooms of runs that are gone are removed first.

    Raises:
        Mendable: no node answers.
    """
    sweep()
    return Room(f"attempt-{secrets.token_hex(4)}")


def sweep() -> list[str]:
    """Remove the rooms whose process is gone; returns their names."""
    left = [name for name, told in management.vhosts().items() if name.startswith(PREFIXES) and _is_left(told)]
    for name in left:
        remove(name)
    return left


def remove(name: str) -> None:
    """Remove the virtual host and the user of this name, where there are any; a connection that is open there is closed."""
    for kind in ("users", "vhosts"):  # the user first: a program that reconnects for ever gets no further
        try:
            management.call("DELETE", kind, name, timeout=REMOVED_WITHIN)
        except management.Refused as refused:
            if refused.status != 404:
                raise


def _is_left(description: str) -> bool:
    """True when the process that made the room is gone; of processes we cannot see, when the room is an hour old."""
    try:
        owner, here = json.loads(description), _owner()
        if owner["machine"] != here["machine"]:
            return time.time() - owner["at"] > AN_HOUR
        return _started(owner["pid"]) != owner["started"]
    except (ValueError, KeyError, TypeError):
        return True


def _owner() -> dict:
    """Who makes a room: a process, by its number and its start, on one boot of one machine (or container)."""
    return {"pid": os.getpid(), "started": _started(os.getpid()), "machine": _machine(), "at": int(time.time())}


def _machine() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + " " + os.readlink("/proc/self/ns/pid")
    except OSError:  # no Linux
        import psutil

        return str(int(psutil.boot_time()))


def _started(pid: int) -> float | None:
    """When the process started, in a number that only this machine understands; None when there is no such process."""
    try:
        return float(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
    import psutil

    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None
