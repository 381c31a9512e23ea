"""Counts every lost connection, and not those in a row.

Fails: test_a_lost_connection_loses_no_line
Says: connection
"""

from . import hub, person

__all__ = ["hub", "person"]
