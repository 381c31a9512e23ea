"""The producer goes on until there are no more orders.

Fails: test_the_producer_ends_on_sigterm_and_has_told_the_truth
Says: had not returned
"""

from . import production_consumer, production_producer

__all__ = ["production_consumer", "production_producer"]
