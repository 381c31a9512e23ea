"""Takes a refused login for a lost connection.

Fails: test_a_service_knows_when_to_give_up
Says: refused user and password, and your program knocked
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
