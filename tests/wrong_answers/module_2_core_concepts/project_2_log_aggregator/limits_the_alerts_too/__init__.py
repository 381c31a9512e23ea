"""Gives the alerts the limit of the screen.

Fails: test_the_screen_keeps_the_newest
Says: Eight errors came, and logs.alerts held 3
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
