"""Takes the end of its loop for the end of the work.

Fails: test_a_consumer_that_was_cancelled_comes_back
Says: consume had returned
"""

from . import production_consumer, production_producer

__all__ = ["production_consumer", "production_producer"]
