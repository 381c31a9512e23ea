"""Publishes, and hopes.

Fails: test_a_service_outlives_its_connection
Says: The confirm of the sixth was held back
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
