"""Makes the id of the source and the number of the line in this call.

Fails: test_a_service_outlives_its_connection
Says: The message_id till-1 belongs to more than one line: line 1, line 13
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
