"""Takes for granted that who leaves has joined.

Fails: test_who_has_left_hears_no_more
Says: ValueError
"""

from . import hub, person

__all__ = ["hub", "person"]
