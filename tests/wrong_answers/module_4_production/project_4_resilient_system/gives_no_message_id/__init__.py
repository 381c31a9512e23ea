"""Its messages bear no id.

Fails: test_orders_go_through
Says: message_id None
"""

from . import production_consumer, production_producer

__all__ = ["production_consumer", "production_producer"]
