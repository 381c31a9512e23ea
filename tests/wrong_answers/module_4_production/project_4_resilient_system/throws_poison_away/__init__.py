"""Acknowledges what it cannot handle.

Fails: test_an_order_that_cannot_be_handled_is_parked_with_its_reason
Says: is in neither
"""

from . import production_consumer, production_producer

__all__ = ["production_consumer", "production_producer"]
