"""Takes the hub's own announcements for lines.

Fails: test_people_hear_each_other
Says: ben read
"""

from . import hub, person

__all__ = ["hub", "person"]
