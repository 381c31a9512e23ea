"""Tells of every message, copy or not.

Fails: test_a_copy_is_told_once
Says: Somebody was told 3 times
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
