"""All people share one inbox.

Fails: test_people_hear_each_other
Says: ada read
"""

from . import hub, person

__all__ = ["hub", "person"]
