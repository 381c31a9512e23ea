"""The hub publishes without confirms.

Fails: test_a_refused_line_stays_with_the_hub
Says: Line 1 is in
"""

from . import hub, person

__all__ = ["hub", "person"]
