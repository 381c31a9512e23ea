"""Takes a connection that opens for a line that arrives.

Fails: test_a_service_knows_when_to_give_up
Says: cut in the middle of the first line, and your program knocked
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
