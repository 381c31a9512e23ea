"""Makes up an id for each message, so that a copy is nobody's copy.

Fails: test_a_service_outlives_its_connection
Says: In the archive line 9 is there 2 times
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
