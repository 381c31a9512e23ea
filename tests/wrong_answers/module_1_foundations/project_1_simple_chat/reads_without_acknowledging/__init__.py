"""Reads the inbox and never acknowledges.

Fails: test_people_hear_each_other
Says: read her inbox twice
"""

from . import hub, person

__all__ = ["hub", "person"]
