"""Does not tell the others that somebody has left.

Fails: test_who_has_left_hears_no_more
Says: ada read
"""

from . import hub, person

__all__ = ["hub", "person"]
