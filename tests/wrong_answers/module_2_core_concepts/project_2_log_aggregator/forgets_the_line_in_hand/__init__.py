"""Opens another connection, and goes on with the next line.

Fails: test_a_service_outlives_its_connection
Says: Not in the archive: line 4
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
