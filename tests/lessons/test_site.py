"""The site shows what the notebooks recorded, and refuses to be built from notebooks that have fallen behind."""

import hashlib
import os
import re
import resource
import subprocess
import sys
from importlib.resources import files

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

from rabbitlab import units

from .conftest import MODULE, printed

ROOT = units.ROOT
MERMAID_11_16 = "74d7c46dabca328c2294733910a8aa1ed0c37451776e8d5295da38a2b758fb9b"
PAGE = """# Send an order

**Predict.** What will it say?

```python
print("<one>")
```

```python tags=["raises-exception"]
raise ValueError("two")
```

```python
draw()
```

```python .noeval
never("run")
```

The end.
"""
PICTURE = {"output_type": "display_data", "data": {"text/vnd.mermaid": "flowchart LR\n  a --> b", "text/plain": "a -> b"}, "metadata": {}}
ERROR = {"output_type": "error", "ename": "ValueError", "evalue": "two", "traceback": ["ValueError: two"]}
OUTPUTS = {1: [printed("<one>\n")], 2: [ERROR], 3: [PICTURE]}


def built(course, command="build") -> str:
    """Build the course's site with the real configuration, and return the HTML of its one lesson."""
    config = load_config(
        str(ROOT / "mkdocs.yml"), docs_dir=str(course.root / "docs"), site_dir=str(course.root / "site"), nav=[], strict=command == "build"
    )
    config.plugins.on_startup(command=command, dirty=False)
    build(config)
    return (course.root / "site" / MODULE / "01_orders" / "index.html").read_text()


@pytest.fixture
def lesson(course):
    (course.root / "docs" / "README.md").write_text("# Home\n")
    return course.as_run(PAGE, OUTPUTS)


def test_each_block_has_its_recorded_output_under_it(course, lesson):
    html = built(course)
    parts = re.split(r'<div class="(?=highlight|output)', html)[1:]
    kinds = [re.match(r"[^\"]*", part)[0] for part in parts]
    assert kinds == ["highlight", "output", "highlight", "output output--error", "highlight", "output output--picture", "highlight"]
    assert "&lt;one&gt;" in parts[1]
    assert "ValueError: two" in parts[3]
    assert '<pre class="mermaid"><code>flowchart LR\n  a --&gt; b</code></pre>' in parts[5]
    assert "<p>The end.</p>" in parts[6], "an option of a fence must not garble what follows"
    assert "tags=" not in html
    assert ".noeval" not in html
    assert '<p class="predict">' in html


def test_a_lesson_offers_its_notebook(course, lesson):
    html = built(course)
    assert re.search(r'<a href="\.\./01_orders\.ipynb" download="01_orders\.ipynb">', html)
    assert (course.root / "site" / MODULE / "01_orders.ipynb").read_bytes() == lesson.notebook.read_bytes()


def test_a_page_without_a_notebook_has_no_outputs_and_no_options(course, lesson):
    course.page('# Brief\n\n```python tags=["x"]\nx = 1\n```\n\nThe end.\n', stem="ex_01_till", folder=f"docs/{MODULE}/exercises")
    built(course)
    html = (course.root / "site" / MODULE / "exercises" / "ex_01_till" / "index.html").read_text()
    assert "The end." in html
    assert "tags=" not in html
    assert 'class="output' not in html


def test_only_a_page_with_a_quiz_carries_the_quiz_program(course, lesson):
    course.page("# Quiz\n\n<quiz>\nWho?\n- [x] The queue\n- [ ] Nobody\n\nThe queue.\n</quiz>\n", stem="quiz_module_1")
    assert "quizTracker" not in built(course)
    assert "quizTracker" in (course.root / "site" / MODULE / "quiz_module_1" / "index.html").read_text()


@pytest.mark.parametrize("fault", ["an edited page", "a missing notebook", "a cell never run"])
def test_a_notebook_that_has_fallen_behind_fails_the_build(course, lesson, fault, caplog):
    if fault == "an edited page":
        course.page(PAGE.replace("<one>", "<uno>"))
    elif fault == "a missing notebook":
        lesson.notebook.unlink()
    else:
        lesson = course.as_run(PAGE, OUTPUTS)
        lesson.notebook.write_text(re.sub(r'"execution_count": 1', '"execution_count": null', lesson.notebook.read_text()))
    with pytest.raises(Abort):
        built(course)
    assert "./lab lessons record 1/01" in caplog.text


def test_a_learner_who_changed_a_notebook_still_has_the_pages(course, lesson):
    course.page(PAGE.replace("<one>", "<uno>"))
    html = built(course, command="serve")
    assert "&lt;one&gt;" not in html, "an output that no longer belongs to its cell is left out"
    assert "ValueError: two" in html


def test_mermaid_is_the_one_that_was_looked_at():
    assert hashlib.sha256((files("mermaidx") / "assets" / "mermaid.js").read_bytes()).hexdigest() == MERMAID_11_16


def test_the_whole_site_is_built_strictly_within_ten_seconds(tmp_path):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Not --quiet: it silences --strict, too.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(ROOT / "mkdocs.yml"), "--site-dir"]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stdout + done.stderr
    # Processor time, so that what else the machine does is not counted.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime <= 10
    index = (tmp_path / "index.html").read_text()
    scripts = re.findall(r'<script src="([^"]+)"', index)
    own = [script for script in scripts if "bundle" not in script]
    assert own[0].endswith("assets/javascripts/mermaid.js")
    assert hashlib.sha256((tmp_path / "assets" / "javascripts" / "mermaid.js").read_bytes()).hexdigest() == MERMAID_11_16


def test_a_reference_page_shows_its_outputs_and_has_no_number(course, lesson):
    course.as_run("# What a window is\n\n```python\nprint('one')\n```\n", {1: [printed("one\n")]}, stem="reference_01_orders")
    built(course)
    html = (course.root / "site" / MODULE / "reference_01_orders" / "index.html").read_text()
    assert '<pre tabindex="0">one</pre>' in html
    assert "<title>What a window is" in html
    assert "<b>Reference 1.1</b> as a notebook" in html
