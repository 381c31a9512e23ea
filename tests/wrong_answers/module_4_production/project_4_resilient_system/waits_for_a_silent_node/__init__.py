"""Has a heartbeat of ten minutes.

Fails: test_5000_orders_survive_a_broken_cluster
Says: the node of the producer's connection
"""

from . import production_consumer, production_producer

__all__ = ["production_consumer", "production_producer"]
