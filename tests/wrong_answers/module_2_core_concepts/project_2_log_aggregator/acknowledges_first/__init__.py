"""Acknowledges a line, and then tells somebody.

Fails: test_an_alert_is_done_when_somebody_knows
Says: watch was called again, and told of line 3
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
