"""A page becomes a notebook: the same one every time, and one that reads well in JupyterLab."""

import subprocess
import sys

import pytest

from rabbitlab.errors import Mendable
from rabbitlab.lessons import building, notebook, page

from .conftest import MODULE, printed

PAGE = """---
description: for the site only
---
# Send an order

Words.

```python
orders = 3
```

```python tags=["raises-exception"]
1 / 0
```

```python .noeval
never("run")
```

```console
$ ./lab up
```
"""


def test_python_runs_and_nothing_else_does(course):
    made = notebook.from_page(course.page(PAGE))
    assert [cell.source for cell in notebook.code_cells(made)] == ["orders = 3", "1 / 0"]
    shown = "\n".join(cell.source for cell in made.cells if cell.cell_type == "markdown")
    assert "never" in shown
    assert "./lab up" in shown


def test_a_notebook_holds_no_trace_of_the_machine_or_of_jupytext(course):
    made = notebook.from_page(course.page(PAGE))
    assert set(made.metadata) == {"kernelspec", "language_info"}
    assert set(made.metadata.language_info) == {"name"}
    assert [dict(cell.metadata) for cell in made.cells if cell.metadata] == [{"tags": ["raises-exception"]}]
    assert all(cell.cell_type != "raw" for cell in made.cells)
    assert "for the site only" not in str(made)


def test_the_same_page_gives_the_same_bytes(course):
    unit = course.built(PAGE)
    before = unit.notebook.read_bytes()
    assert notebook.write(building.built(unit)[0], unit.notebook) is False
    assert unit.notebook.read_bytes() == before


def test_a_cell_keeps_its_id_when_others_come_and_go(course):
    before = {cell.source: cell.id for cell in notebook.from_page(course.page(PAGE)).cells}
    after = notebook.from_page(course.page(PAGE.replace("Words.", "Words.\n\n```python\nprint('first')\n```\n\nMore words.")))
    kept = {cell.source: cell.id for cell in after.cells if cell.source in before}
    assert len(kept) == len(before)
    assert all(before[source] == cell_id for source, cell_id in kept.items())


def test_two_equal_cells_have_two_ids(course):
    made = notebook.from_page(course.page("# Twice\n\n```python\nx = 1\n```\n\n```python\nx = 1\n```\n"))
    first, second = notebook.code_cells(made)
    assert first.id != second.id


def test_each_code_cell_knows_its_line(course):
    unit = course.page(PAGE)
    lines = PAGE.splitlines()
    assert [lines[line - 1] for line in notebook.code_lines(unit)] == ["```python", '```python tags=["raises-exception"]']


def test_outputs_of_unchanged_cells_stay_on_build(course):
    unit = course.as_run(PAGE, {1: [printed("one\n")], 2: [printed("two\n")]})
    course.page(PAGE.replace("orders = 3", "orders = 4"))
    made, unrun = building.built(unit)
    first, second = notebook.code_cells(made)
    assert unrun == 1
    assert first.execution_count is None
    assert not first.outputs
    assert second.outputs[0].text == "two\n"


class TestProse:
    def prose(self, course, text: str) -> str:
        return notebook.as_notebook_prose(text, course.page("# Here\n\n## Come back\n"))

    def test_a_callout_becomes_an_alert(self, course):
        prose = self.prose(course, "> [!WARNING]\n> Mind the `van`.\n> And the [map](02_map.md).\n\nMore.\n")
        assert prose.startswith('<div class="alert alert-block alert-warning">\n\n**Warning.**\nMind the `van`.\nAnd the')
        assert prose.endswith("\n\n</div>\n\nMore.\n")

    def test_a_link_to_a_lesson_leads_to_its_notebook(self, course):
        course.page("# Map\n\n## Where a *message* is\n", stem="02_map")
        assert self.prose(course, "[map](02_map.md)") == "[map](02_map.ipynb)"
        assert self.prose(course, "[map](02_map.md#where-a-message-is)") == "[map](02_map.ipynb#Where-a-message-is)"
        assert self.prose(course, "[up](#come-back)") == "[up](#Come-back)"

    def test_any_other_link_leads_where_it_led(self, course):
        course.page("# Brief\n", stem="ex_01_till", folder=f"docs/{MODULE}/exercises")
        assert self.prose(course, "[brief](exercises/ex_01_till.md)") == f"[brief](../../docs/{MODULE}/exercises/ex_01_till.md)"
        assert self.prose(course, "[setup](../setup.md)") == "[setup](../../docs/setup.md)"
        assert self.prose(course, "![nodes](../assets/nodes.svg)") == "![nodes](../../docs/assets/nodes.svg)"
        assert self.prose(course, "[site](https://www.rabbitmq.com/docs)") == "[site](https://www.rabbitmq.com/docs)"

    def test_what_is_quoted_stays_as_it_is(self, course):
        quoted = "`[map](02_map.md)` and\n\n```text\n[map](02_map.md)\n```\n"
        assert self.prose(course, quoted) == quoted

    def test_a_walkthrough_lies_beside_its_source(self, course):
        course.page("# Brief\n", stem="ex_01_till", folder=f"docs/{MODULE}/exercises")
        course.page("# Map\n", stem="02_map")
        unit = course.page("# Walk\n", stem="ex_01_till", folder=f"solutions/{MODULE}")
        assert unit.source.parent == unit.notebook.parent
        links = f"[map](../../docs/{MODULE}/02_map.md) [program](ex_01_till.py)"
        assert notebook.as_notebook_prose(links, unit) == f"[map](../../notebooks/{MODULE}/02_map.ipynb) [program](ex_01_till.py)"


class TestRefusals:
    @pytest.mark.parametrize(
        ("block", "says"),
        [
            ("```sh\nls\n```", "would be run as a cell: write ```console"),
            ('```python tags=["raise-exception"]\n1\n```', "unknown tag raise-exception"),
            ("```python hide\n1\n```", "unknown option 'hide'"),
            ("1. First\n\n    ```python\n    x\n    ```", "an indented ```python block is never run"),
        ],
    )
    def test_a_block_that_would_not_be_what_it_looks_like(self, course, block, says):
        unit = course.page(f"# Page\n\n{block}\n")
        with pytest.raises(Mendable, match=r"^docs/module_1_foundations/01_orders\.md:[35]: ") as refused:
            notebook.from_page(unit)
        assert says in str(refused.value)

    def test_the_languages_are_those_that_jupytext_runs(self):
        from jupytext.languages import _JUPYTER_LANGUAGES

        known = {language for language in _JUPYTER_LANGUAGES if " " not in language} - {"python"}
        assert {language for language in known if not page.EXECUTED.fullmatch(language)} == set()
        assert not any(page.EXECUTED.fullmatch(language) for language in ("console", "text", "mermaid", "json", "yaml", "ini", "erlang"))


def test_a_key_without_a_notebook_is_a_sentence(course):
    from rabbitlab import lessons

    course.page("# Quiz\n", stem="quiz_module_1")
    with pytest.raises(Mendable, match="has no notebook"):
        lessons.build(["1/quiz"])


def test_the_pipeline_is_loaded_only_when_it_is_called():
    """The command line must not wait for jupytext and nbclient when it starts a cluster."""
    program = "import sys, rabbitlab.lessons; print([m for m in ('jupytext', 'nbclient', 'nbformat', 'mkdocs') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
