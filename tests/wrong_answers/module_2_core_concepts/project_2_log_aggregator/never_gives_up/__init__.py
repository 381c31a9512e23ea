"""Tries again for ever.

Fails: test_a_service_knows_when_to_give_up
Says: Each connection was cut at its first word, and your program knocked
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
