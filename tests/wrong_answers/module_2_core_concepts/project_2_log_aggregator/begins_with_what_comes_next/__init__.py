"""Does not say where in the stream it wants to begin.

Fails: test_the_archive_is_read_as_often_as_one_likes
Says: Read once, the archive said nothing
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
