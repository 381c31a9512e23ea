"""Announces somebody who has joined already.

Fails: test_a_newcomer_gets_the_last_lines
Says: twice
"""

from . import hub, person

__all__ = ["hub", "person"]
