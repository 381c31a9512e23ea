"""Begins at the first line, wherever it was to begin.

Fails: test_the_archive_is_read_as_often_as_one_likes
Says: Read from offset 4, the archive said line 0
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
