"""Reads a copy as another line.

Fails: test_the_archive_is_read_as_often_as_one_likes
Says: line 4, line 5, line 5
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
