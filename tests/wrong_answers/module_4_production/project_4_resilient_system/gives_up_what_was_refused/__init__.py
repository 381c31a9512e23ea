"""Sends an order that was refused never again.

Fails: test_an_order_that_a_full_queue_refuses_is_sent_again
Says: never came to it
"""

from . import production_consumer, production_producer

__all__ = ["production_consumer", "production_producer"]
