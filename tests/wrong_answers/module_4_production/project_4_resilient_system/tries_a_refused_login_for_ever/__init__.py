"""Takes a refused login for a lost connection.

Fails: test_a_refused_login_is_told
Says: 12 s
"""

from . import production_consumer, production_producer

__all__ = ["production_consumer", "production_producer"]
