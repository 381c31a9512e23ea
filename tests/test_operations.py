"""What readers copy from the reference page of operations does what the page says, also after the two runs that the page shows."""

import json
import pathlib
import tempfile

from rabbitlab.lessons import page
from rabbitlab.units import ROOT

PAGE = ROOT / "docs/module_4_production/reference_06_operations.md"


def test_a_backup_keeps_the_last_fourteen_that_differ(tmp_path):
    """The page's own program, with definitions that change each time in place of the cluster's."""
    source = next(fence.source for fence in page.fences(PAGE.read_text()) if "def back_up" in fence.source)
    program = source[: source.index("\nfolder = ")]
    now = {"exchanges": [], "queues": [], "bindings": [], "policies": []}
    names = {"json": json, "pathlib": pathlib, "tempfile": tempfile}
    exec(program, names)
    names |= {"broker": _Broker(now), "room": _Room, "try_out": lambda definitions: True}

    for day in range(20):
        now["policies"] = [{"name": "limit", "vhost": "shop", "definition": {"max-length": day}}]
        assert names["back_up"](tmp_path) == "kept, and tried out"
        assert names["back_up"](tmp_path) == "nothing has changed"
    kept = [json.loads(file.read_text())["policies"][0]["definition"]["max-length"] for file in sorted(tmp_path.glob("*.json"))]
    assert kept == list(range(6, 20))


class _Room:
    vhost = "shop"


class _Broker:
    def __init__(self, definitions):
        self.definitions = definitions

    def path(self, *parts):
        return "/".join(parts)

    def api(self, path):
        return json.loads(json.dumps(self.definitions))
