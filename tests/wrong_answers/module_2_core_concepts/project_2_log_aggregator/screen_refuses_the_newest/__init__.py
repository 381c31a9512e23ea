"""Lets a full screen refuse what is new.

Fails: test_the_screen_keeps_the_newest
Says: logs.screen held line 0, line 1, line 2
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
