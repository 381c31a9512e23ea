"""Takes the confirm of a message that no queue took for a success.

Fails: test_an_order_that_no_queue_takes_is_told_as_returned
Says: 3 confirmed
"""

from . import production_consumer, production_producer

__all__ = ["production_consumer", "production_producer"]
