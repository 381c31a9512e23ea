"""Passes on what somebody says who has not joined.

Fails: test_people_hear_each_other
Says: eva, who had not joined
"""

from . import hub, person

__all__ = ["hub", "person"]
