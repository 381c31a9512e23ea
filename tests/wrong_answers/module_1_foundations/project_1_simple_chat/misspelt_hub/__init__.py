"""People write to another queue than the hub reads.

Fails: test_people_hear_each_other
Says: `chat.hub`
"""

from . import hub, person

__all__ = ["hub", "person"]
