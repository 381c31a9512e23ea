"""Skips nonsense without acknowledging it.

Fails: test_nonsense_does_not_stop_the_hub
Says: The hub went on
"""

from . import hub, person

__all__ = ["hub", "person"]
