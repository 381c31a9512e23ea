"""Acknowledges an order, then handles it.

Fails: test_sigkill_loses_no_order
Says: never handled and are nowhere
"""

from . import production_consumer, production_producer

__all__ = ["production_consumer", "production_producer"]
