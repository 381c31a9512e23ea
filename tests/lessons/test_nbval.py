"""`pytest --nbval`, with no other argument, lets no notebook pass that no longer shows what was recorded."""

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from rabbitlab import units
from rabbitlab.lessons import notebook, recording

ROOT = units.ROOT
PAGE = """# Each cell

```python
class Picture:
    def __init__(self, *ends):
        self.ends = ends
    def _repr_mimebundle_(self, include=None, exclude=None):
        left, right = self.ends
        svg = f"<svg>{id(self)}</svg>"
        return {"text/vnd.mermaid": f"flowchart LR\\n  {left} --> {right}", "text/plain": "a picture", "image/svg+xml": svg}

import time
print("same")
```

```python tags=["raises-exception"]
raise ValueError("the van broke down")
```

```python
handle = display(Picture("a", "b"), display_id=True)
handle.update(Picture("a", "c"))
```

```python
Picture("a", "b")
```

```python tags=["measured"]
time.perf_counter_ns()
```

```python
print("text")
```

```python tags=["raises-exception"]
raise ValueError("error")
```

```python
Picture("a", "b")
```

```python
print("never recorded")
```

```python
if slow: time.sleep(30)
```

```python
print("after")
```
"""


def validate(folder, *arguments, environment=None):
    """Run pytest as a user does, in a course of its own, and return its output and exit status."""
    command = [sys.executable, "-m", "pytest", "--nbval", "-p", "no:cacheprovider", "-rA", "--color=no", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, env={**os.environ, **(environment or {})})
    return done.stdout + done.stderr, done.returncode


@pytest.fixture
def copied(course):
    """A course with the root conftest and what it reads."""
    shutil.copy(ROOT / "conftest.py", course.root)
    (course.root / "jupyter").mkdir()
    shutil.copy(ROOT / "jupyter" / "nbval_sanitize.cfg", course.root / "jupyter")
    (course.root / "pytest.ini").write_text("[pytest]\n")
    return course


@pytest.mark.cluster
def test_each_cell_that_falls_behind_fails_and_no_other(copied):
    unit = copied.page(PAGE.replace("if slow", "slow = False\nif slow"))
    made = notebook.from_page(unit)
    recording.run(unit, made)
    cells = notebook.code_cells(made)
    cells[5].outputs[0].text = "another text\n"
    cells[6].outputs[0].evalue = "another error"
    cells[7].outputs[0].data["text/vnd.mermaid"] = "flowchart LR\n  a --> z"
    cells[8].update(execution_count=None, outputs=[])
    cells[9].source = "time.sleep(30)"
    notebook.write(made, unit.notebook)

    said, status = validate(copied.root, str(unit.notebook), "--nbval-cell-timeout=2")
    outcomes = {int(cell): outcome for outcome, cell in re.findall(r"^(\w+) \S+::Cell (\d+)", said, flags=re.MULTILINE)}
    assert outcomes == {**dict.fromkeys(range(5), "PASSED"), **dict.fromkeys(range(5, 11), "FAILED"), 8: "ERROR", 10: "ERROR"}, said
    assert status == 1
    assert "this cell was never recorded. Record it: ./lab lessons record module_1_foundations/01_orders" in said
    assert "Timeout of 2 seconds exceeded" in said
    assert "Not run: an earlier cell of this notebook took too long." in said


@pytest.mark.parametrize(("asked", "done"), [("load", "loadfile"), ("worksteal", "loadfile"), ("no", "no"), ("each", "each")])
def test_cells_of_one_notebook_stay_together_under_xdist(asked, done):
    spec = importlib.util.spec_from_file_location("root_conftest", ROOT / "conftest.py")
    settings = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(settings)
    option = SimpleNamespace(nbval=True, nbval_sanitize_with=None, nbval_cell_timeout=2000, nbval_kernel_name=None, dist=asked)
    settings.pytest_configure(SimpleNamespace(option=option))
    assert option.dist == done
    assert option.nbval_cell_timeout == settings.CELL_TIMEOUT
    assert Path(option.nbval_sanitize_with).is_absolute()


def test_without_a_broker_it_ends_with_one_sentence(copied, tmp_path):
    """The cluster of this machine may run: a copy of the package is told that other ports are the cluster's."""
    copied.as_run("# Page\n\n```python\n1\n```\n")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    shutil.copytree(ROOT / "rabbitlab", tmp_path / "rabbitlab", ignore=shutil.ignore_patterns("__pycache__"))
    nodes = tmp_path / "rabbitlab" / "nodes.py"
    nodes.write_text(re.sub(r"\b(567\d)\b", str(port), nodes.read_text()))
    said, status = validate(tmp_path, "notebooks", environment={"PYTHONPATH": str(tmp_path)})
    assert status != 0
    assert said.strip().splitlines()[-1].startswith("ERROR: Notebooks are validated on the live cluster.")
    assert "./lab up" in said.strip().splitlines()[-1]
    assert "Traceback" not in said


def test_a_grader_meets_this_conftest_without_nbval(tmp_path):
    """`./lab check` switches plugin autoload off; the conftest must neither need a plugin nor cost time."""
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_x.py").write_text(
        "import sys\n\ndef test_x():\n    assert 'nbval' not in sys.modules and 'rabbitlab' not in sys.modules\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
