"""People do not declare the hub's queue.

Fails: test_people_hear_each_other
Says: no queue
"""

from . import hub, person

__all__ = ["hub", "person"]
