"""The report as JSON, for pipelines. Names are never changed or taken away without a new number in ``schema``; more may come.

======================  ==========================================================================================
``schema``              1
``cluster``             ``name``, ``product``, ``version``, ``nodes`` (names)
``read``                ``url``, ``user``, ``tags``, ``at`` (ISO 8601, UTC), ``unread``: what was kept from us, and why
``summary``             the number of items by verdict: ``fail``, ``cannot be seen``, ``pass``, ``not applicable``
``exit_status``         0 nothing failed, 1 something did
``items``               one object for each item, in the order of the checklists:
``items[].id``          its name: ``durable-queues``
``items[].title``       its line in the checklist
``items[].checklist``   ``Production readiness``, ``Deployment`` or ``As it runs now``
``items[].section``     ``Reliability`` ...
``items[].deployment``  the line of the deployment checklist that asks for the same, or null
``items[].verdict``     ``fail``, ``cannot be seen``, ``pass`` or ``not applicable``
``items[].saw``         what was seen, in words
``items[].objects``     the queues, users, nodes ... that it is about, all of them
``items[].why``         why it matters; in this and the next two, `code` is marked as in Markdown
``items[].mend``        the command or edit that mends it
``items[].look``        who must look where a program cannot, and how
``items[].lessons``     where it is taught: paths from the course's root, with the anchor
======================  ==========================================================================================
"""

import json
import os.path
from typing import Any

from rabbitlab.audit.verdict import Report, Verdict

SCHEMA = 1


def as_dict(report: Report) -> dict[str, Any]:
    """The report as above."""
    return {
        "schema": SCHEMA,
        "cluster": dict(report.cluster),
        "read": dict(report.read),
        "summary": {verdict.value: report.count(verdict) for verdict in Verdict},
        "exit_status": report.exit_status,
        "items": [
            {
                "id": result.item.id,
                "title": result.item.title,
                "checklist": result.item.checklist,
                "section": result.item.section,
                "deployment": result.item.deployment,
                "verdict": result.verdict.value,
                "saw": result.finding.saw,
                "objects": list(result.finding.objects),
                "why": result.item.why,
                "mend": result.finding.mend or result.item.mend,
                "look": result.item.look,
                "lessons": [os.path.normpath(lesson) for lesson in result.item.lessons],
            }
            for result in report.results
        ],
    }


def text(report: Report) -> str:
    """The report as a JSON document, in ASCII: a terminal or a pipe may know no other letters."""
    return json.dumps(as_dict(report), indent=2)
