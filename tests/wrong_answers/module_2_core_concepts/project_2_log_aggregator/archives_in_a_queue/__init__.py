"""Keeps the archive in a quorum queue.

Fails: test_each_line_goes_where_it_belongs
Says: lists `logs.archive` as quorum
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
