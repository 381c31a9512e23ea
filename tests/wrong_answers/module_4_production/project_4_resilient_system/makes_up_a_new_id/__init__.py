"""Gives an order that is sent again another message_id, so that nobody knows it again.

Fails: test_a_lost_confirm_is_unknown_and_the_order_sent_again
Says: one of the two messages has the message_id
"""

from . import production_consumer, production_producer

__all__ = ["production_consumer", "production_producer"]
