"""Acknowledges what it has told of, and leaves a copy where it is.

Fails: test_a_copy_is_told_once
Says: is sent no other
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
