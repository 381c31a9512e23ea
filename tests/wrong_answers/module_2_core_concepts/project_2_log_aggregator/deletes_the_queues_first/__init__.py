"""Deletes each queue before it declares it, as lessons do.

Fails: test_each_line_goes_where_it_belongs
Says: was called again with the same number; afterwards it held 0
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
