"""Tells that an outcome is unknown, and goes on with the next order.

Fails: test_a_lost_confirm_is_unknown_and_the_order_sent_again
Says: It was sent once
"""

from . import production_consumer, production_producer

__all__ = ["production_consumer", "production_producer"]
