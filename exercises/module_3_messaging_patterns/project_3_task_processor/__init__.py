"""Project 3: the task processor.

Brief  docs/module_3_messaging_patterns/project_3_task_processor.md
Check  ./lab check 3/project
Run    cd exercises/module_3_messaging_patterns; python -m project_3_task_processor printer

What is here is given; write topology.py, desk.py, printer.py and office.py.
"""

from . import desk, office, printer, topology

__all__ = ["desk", "office", "printer", "topology"]
