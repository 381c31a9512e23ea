"""Acknowledges when it is quiet, or when it ends.

Fails: test_nothing_is_missed_when_the_watcher_is_killed
Says: times of a line that was known already
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
