"""Gives up and says nothing.

Fails: test_the_hub_gives_up_where_nobody_answers
Says: as if it had served
"""

from . import hub, person

__all__ = ["hub", "person"]
