"""The hub never acknowledges.

Fails: test_people_hear_each_other
Says: ready or unacknowledged
"""

from . import hub, person

__all__ = ["hub", "person"]
