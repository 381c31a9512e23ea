"""Does not send a line back to the one who said it.

Fails: test_people_hear_each_other
Says: ada read
"""

from . import hub, person

__all__ = ["hub", "person"]
