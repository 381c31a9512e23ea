"""Does not say how much it can bear.

Fails: test_the_archive_is_read_as_often_as_one_likes
Says: A stream sends nothing to a consumer that has set no prefetch
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
