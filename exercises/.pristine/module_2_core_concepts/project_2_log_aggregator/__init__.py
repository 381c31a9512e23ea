"""Project 2: the log aggregator.

Brief  docs/module_2_core_concepts/project_2_log_aggregator.md
Check  ./lab check 2/project
Run    cd exercises/module_2_core_concepts; python -m project_2_log_aggregator alerts

What is here is given; write topology.py, service.py, alerts.py and archive.py.
"""

from . import alerts, archive, service, topology

__all__ = ["alerts", "archive", "service", "topology"]
