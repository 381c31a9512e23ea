"""Takes note of nobody who leaves.

Fails: test_who_has_left_hears_no_more
Says: ben read
"""

from . import hub, person

__all__ = ["hub", "person"]
