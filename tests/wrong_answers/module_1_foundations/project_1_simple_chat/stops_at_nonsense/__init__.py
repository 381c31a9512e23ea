"""Takes nonsense for the end.

Fails: test_nonsense_does_not_stop_the_hub
Says: none of the chat's followed
"""

from . import hub, person

__all__ = ["hub", "person"]
