"""Counts every loss of the day, and begins no row anew.

Fails: test_a_service_knows_when_to_give_up
Says: The connection was lost 6 times, each time after another line was confirmed
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
