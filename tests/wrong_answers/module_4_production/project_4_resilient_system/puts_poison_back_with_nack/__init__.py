"""Gives back what it cannot handle by the call that no limit counts.

Fails: test_an_order_that_cannot_be_handled_is_parked_with_its_reason
Says: no end was in sight
"""

from . import production_consumer, production_producer

__all__ = ["production_consumer", "production_producer"]
