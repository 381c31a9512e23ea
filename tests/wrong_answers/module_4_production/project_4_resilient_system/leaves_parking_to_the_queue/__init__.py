"""Lets the queue dead-letter what it cannot handle, and nobody learns why.

Fails: test_an_order_that_cannot_be_handled_is_parked_with_its_reason
Says: with the headers
"""

from . import production_consumer, production_producer

__all__ = ["production_consumer", "production_producer"]
