"""Begins from nothing after a lost connection.

Fails: test_a_lost_connection_loses_no_line
Says: never came to
"""

from . import hub, person

__all__ = ["hub", "person"]
