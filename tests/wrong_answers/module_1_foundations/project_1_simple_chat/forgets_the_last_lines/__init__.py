"""Keeps the first lines instead of the last.

Fails: test_a_newcomer_gets_the_last_lines
Says: last 2 lines
"""

from . import hub, person

__all__ = ["hub", "person"]
