"""Takes every message for one of the chat.

Fails: test_nonsense_does_not_stop_the_hub
Says: none of the chat's; the hub ended
"""

from . import hub, person

__all__ = ["hub", "person"]
