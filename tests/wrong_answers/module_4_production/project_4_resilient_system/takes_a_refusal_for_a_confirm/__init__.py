"""Says that an order is confirmed when the queue has refused it.

Fails: test_an_order_that_a_full_queue_refuses_is_sent_again
Says: it never came to the queue
"""

from . import production_consumer, production_producer

__all__ = ["production_consumer", "production_producer"]
