"""Stops at a refused line and tells nobody.

Fails: test_a_refused_line_stays_with_the_hub
Says: as if all were well
"""

from . import hub, person

__all__ = ["hub", "person"]
