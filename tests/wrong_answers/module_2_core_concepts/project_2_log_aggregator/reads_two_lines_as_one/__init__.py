"""Takes two lines with the same text for one.

Fails: test_the_archive_is_read_as_often_as_one_likes
Says: there may be tea twice
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
