"""Project 1: the shop-floor chat.

Brief  docs/module_1_foundations/project_1_simple_chat.md
Check  ./lab check 1/project
Run    cd exercises/module_1_foundations; python -m project_1_simple_chat hub

What is here is given; write hub.py and person.py.
"""

from . import hub, person

__all__ = ["hub", "person"]
