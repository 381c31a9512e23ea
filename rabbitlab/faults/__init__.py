"""Break the cluster and mend it: each fault is a context manager. Inside the ``with`` the fault is there; after it, the cluster is whole.

Each yields a :class:`Fault`. Before the body runs, the fault has been seen to be there; when the ``with`` has ended, the cluster has been
seen to be whole, whether the body ended, failed or was interrupted. Where the process itself is killed, a guardian process mends what
it broke. :func:`heal` puts everything right, from any state.

Whoever breaks the cluster has it to himself meanwhile: see :mod:`rabbitlab.lock`.
"""

from rabbitlab.faults.alarms import disk_alarm, memory_alarm
from rabbitlab.faults.connections import closed_connections
from rabbitlab.faults.fault import Fault, heal
from rabbitlab.faults.network import cut_off, partitioned
from rabbitlab.faults.nodes import killed, paused, stopped
from rabbitlab.faults.users import deleted_user
from rabbitlab.wholeness import missing as whole

__all__ = [
    "Fault",
    "closed_connections",
    "cut_off",
    "deleted_user",
    "disk_alarm",
    "heal",
    "killed",
    "memory_alarm",
    "partitioned",
    "paused",
    "stopped",
    "whole",
]
