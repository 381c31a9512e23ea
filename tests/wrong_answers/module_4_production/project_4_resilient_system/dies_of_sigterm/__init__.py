"""The program knows Ctrl-C only.

Fails: test_the_programs_run_as_the_brief_says
Says: its exit status was -15
"""

from . import production_consumer, production_producer

__all__ = ["production_consumer", "production_producer"]
