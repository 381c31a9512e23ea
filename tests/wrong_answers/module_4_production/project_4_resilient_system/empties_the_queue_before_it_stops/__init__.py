"""Handles all that waits before it stops.

Fails: test_sigterm_hands_back_what_was_not_handled
Says: more were, and consume had
"""

from . import production_consumer, production_producer

__all__ = ["production_consumer", "production_producer"]
