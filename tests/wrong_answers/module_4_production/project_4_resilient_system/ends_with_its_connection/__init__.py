"""Does not connect again.

Fails: test_a_lost_connection_loses_no_order
Says: CONNECTION_FORCED
"""

from . import production_consumer, production_producer

__all__ = ["production_consumer", "production_producer"]
