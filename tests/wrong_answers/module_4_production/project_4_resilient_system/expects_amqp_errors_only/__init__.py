"""Takes every error of pika for an AMQPError.

Fails: test_nodes_that_are_dead_or_silent_are_passed_over
Says: AMQPConnectorStackTimeout
"""

from . import production_consumer, production_producer

__all__ = ["production_consumer", "production_producer"]
