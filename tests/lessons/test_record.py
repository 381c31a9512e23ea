"""`./lab lessons record` stores what cells show, the same each time, and names cell and line where one does not do as its page says."""

import pytest

from rabbitlab import cluster, lessons
from rabbitlab.errors import Mendable
from rabbitlab.lessons import checking, notebook, recording

SHOWS = """# Show things

```python
import sys, warnings

for n in range(3):
    print(n, flush=True)
    print("warned", n, file=sys.stderr, flush=True)
warnings.warn("careful", DeprecationWarning)
```

```python tags=["raises-exception"]
raise ValueError("the van\\nbroke down")
```

```python
from IPython.display import display

class Picture:
    def __init__(self, end):
        self.end = end
    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/vnd.mermaid": f"flowchart LR\\n  a --> {self.end}", "text/plain": f"a -> {self.end}"}

handle = display(Picture("b"), display_id=True)
handle.update(Picture("c"))
```

```python tags=["measured"]
import time
time.perf_counter_ns()
```

```python
object(), sorted({"b", "a"})
```
"""


@pytest.fixture(autouse=True)
def _no_broker_is_needed(monkeypatch):
    """These pages ask no broker for anything."""
    monkeypatch.setattr(cluster, "is_running", lambda: True)


def outputs(unit) -> list[list]:
    return [cell.outputs for cell in notebook.code_cells(notebook.read(unit.notebook))]


def test_recording_twice_changes_nothing(course):
    unit = course.page(SHOWS)
    assert lessons.record(["1/01"]) == 0
    first = unit.notebook.read_bytes()
    streams, error, picture, measured, value = outputs(unit)

    assert [(o.name, o.text.splitlines()[:3]) for o in streams] == [
        ("stdout", ["0", "1", "2"]),
        ("stderr", ["warned 0", "warned 1", "warned 2"]),
    ]
    assert "<cell>:6: DeprecationWarning: careful" in streams[1].text
    assert error[0].traceback == ["ValueError: the van"]
    assert picture[0].data["text/plain"] == "a -> c", "a picture is recorded as it was last drawn"
    assert value[0].data["text/plain"] == "(<object at 0x...>, ['a', 'b'])"
    assert checking.findings(unit) == []

    assert lessons.record(["1/01"]) == 0
    assert unit.notebook.read_bytes() == first, "the measured cell too keeps its committed output"

    assert lessons.record(["1/01"], measured=True) == 0
    *same, _, _ = outputs(unit)
    assert same == [streams, error, picture]
    assert outputs(unit)[3] != measured


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ("", "raise ValueError('no van')", "raised ValueError: no van\nIf it is meant to:"),
        (' tags=["raises-exception"]', "x = 1", "is tagged raises-exception and raised nothing."),
        ("", "import os; os._exit(3)", "ended the interpreter."),
    ],
)
def test_a_cell_that_does_not_do_as_its_page_says(course, capsys, options, code, says):
    unit = course.page(f"# Page\n\n```python\nx = 0\n```\n\nText.\n\n```python{options}\n{code}\n```\n")
    assert lessons.record(["1/01"]) == 1
    said = capsys.readouterr().out
    assert f"docs/module_1_foundations/01_orders.md:9: cell 2 of 1/01 ({code}) {says}" in said
    assert not unit.notebook.exists(), "what did not run well is not recorded"


def test_a_cell_that_does_not_end(course):
    unit = course.page("# Page\n\n```python\nwhile True: pass\n```\n")
    with pytest.raises(recording.CellFailed, match=r"01_orders\.md:3: cell 1 of 1/01 .* was still running after 1 s"):
        recording.run(unit, notebook.from_page(unit), timeout=1)


def test_without_a_cluster_it_says_what_to_run(course, monkeypatch):
    course.page(SHOWS)
    monkeypatch.setattr(cluster, "is_running", lambda: False)
    with pytest.raises(Mendable) as refused:
        lessons.record([])
    assert "./lab up" in str(refused.value)


def test_the_welcome_page_names_the_lessons_as_they_are(course):
    welcome = course.page("# Welcome\n\n[[lessons]]\n", stem="welcome", folder="jupyter")
    course.page("# Show things\n")
    assert lessons.build([]) == 0
    text = (course.root / "notebooks" / "welcome.ipynb").read_text()
    assert "- 1.1 [Show things](module_1_foundations/01_orders.ipynb)" in text
    course.page("# Show other things\n")
    assert lessons.check([]) == 1
    lessons.build(["1/01"])
    assert lessons.check([]) == 0
    assert welcome is not None
