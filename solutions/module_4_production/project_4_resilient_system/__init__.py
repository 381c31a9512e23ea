"""Project 4: the resilient system.

Brief  docs/module_4_production/project_4_resilient_system.md
Check  ./lab check 4/project
Run    python exercises/module_4_production/project_4_resilient_system/production_producer.py, and production_consumer.py beside it

This file and topology.py are given; write production_producer.py and production_consumer.py.
"""

from . import production_consumer, production_producer

__all__ = ["production_consumer", "production_producer"]
