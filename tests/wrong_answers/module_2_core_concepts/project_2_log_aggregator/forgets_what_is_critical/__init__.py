"""Binds the alerts to errors, and forgets that there is worse.

Fails: test_each_line_goes_where_it_belongs
Says: logs.alerts got till.error, payments.error
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
