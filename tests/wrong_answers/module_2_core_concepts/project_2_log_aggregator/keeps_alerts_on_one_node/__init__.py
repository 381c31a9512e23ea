"""Declares the alerts as a classic queue.

Fails: test_each_line_goes_where_it_belongs
Says: lists `logs.alerts` as classic
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
