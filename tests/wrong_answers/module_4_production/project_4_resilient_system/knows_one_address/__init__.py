"""The consumer knocks at the first address only.

Fails: test_nodes_that_are_dead_or_silent_are_passed_over
Says: the one node of three that lives
"""

from . import production_consumer, production_producer

__all__ = ["production_consumer", "production_producer"]
