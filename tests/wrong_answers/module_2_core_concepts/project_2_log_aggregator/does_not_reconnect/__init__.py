"""Lets the first lost connection be the end.

Fails: test_a_service_outlives_its_connection
Says: service.log ended with
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
