"""Acknowledges everything that it has fetched when it is asked to stop.

Fails: test_sigterm_hands_back_what_was_not_handled
Says: never handled and are nowhere
"""

from . import production_consumer, production_producer

__all__ = ["production_consumer", "production_producer"]
