"""Takes as many lines as there are.

Fails: test_nothing_is_missed_when_the_watcher_is_killed
Says: stayed ready for another watcher
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
