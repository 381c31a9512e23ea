"""read returns what json.loads gave it.

Fails: test_people_hear_each_other
Says: a dict
"""

from . import hub, person

__all__ = ["hub", "person"]
