"""Deletes the exchange before it declares it, as lessons do.

Fails: test_each_line_goes_where_it_belongs
Says: afterwards it was no longer bound
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
