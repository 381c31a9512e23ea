"""Catches what notify raises, and goes on.

Fails: test_an_alert_is_done_when_somebody_knows
Says: watch went on, or returned, as if all were well
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
