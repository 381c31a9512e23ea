"""`./lab lessons check` finds each way in which a notebook can fall behind its page, and names the command that mends it."""

import pytest

from rabbitlab import lessons
from rabbitlab.lessons import checking, notebook, sanitize

from .conftest import printed

PAGE = """# Send an order

Words.

```python
print("one")
```

```python tags=["raises-exception"]
raise ValueError("two")
```
"""
FAILED = {"output_type": "error", "ename": "ValueError", "evalue": "two", "traceback": ["ValueError: two"]}
OUTPUTS = {1: [printed("one\n")], 2: [FAILED]}


@pytest.fixture
def unit(course):
    """A page whose notebook is as it should be."""
    unit = course.as_run(PAGE, OUTPUTS)
    assert checking.findings(unit) == []
    return unit


def changed(unit, change):
    """Edit the committed notebook as an editor of notebooks would."""
    made = notebook.read(unit.notebook)
    change(made)
    notebook.write(made, unit.notebook)


def only_finding(unit):
    (finding,) = checking.findings(unit)
    assert finding.mend == "./lab lessons record 1/01"
    return finding


def test_an_edited_page(course, unit):
    course.page(PAGE.replace('print("one")', 'print("uno")'))
    finding = only_finding(unit)
    assert finding.stale
    assert finding.where == "docs/module_1_foundations/01_orders.md:5"
    assert """the page says 'print("uno")', the notebook 'print("one")'""" in finding.what


def test_edited_prose(course, unit):
    course.page(PAGE.replace("Words.", "Other words."))
    assert "the text at the top differs" in only_finding(unit).what


def test_a_changed_tag(course, unit):
    course.page(PAGE.replace(' tags=["raises-exception"]', ""))
    assert only_finding(unit).where.endswith(":9")


def test_a_cell_more_and_a_cell_fewer(course, unit):
    course.page(PAGE + "\n```python\n3\n```\n")
    assert "fewer cells than the page" in only_finding(unit).what
    course.page(PAGE[: PAGE.index("```python tags")])
    assert "the page has not" in only_finding(unit).what


def test_a_cell_that_was_never_run(unit):
    changed(unit, lambda made: made.cells[1].update(execution_count=None, outputs=[]))
    finding = only_finding(unit)
    assert (finding.what, finding.stale) == ("cell 1 was never run.", False)


def test_a_cell_that_was_run_out_of_order(unit):
    changed(unit, lambda made: made.cells[1].update(execution_count=7))
    assert "was run as number 7" in only_finding(unit).what


def test_a_cell_that_failed(unit):
    changed(unit, lambda made: made.cells[1].update(outputs=[notebook.nbformat.from_dict(FAILED)]))
    assert "cell 1 failed with ValueError: two" in only_finding(unit).what


def test_outputs_as_jupyterlab_saves_them(unit):
    def save(made):
        made.cells[2].outputs[0].traceback = ["Traceback (most recent call last)", "File /home/me/...", "ValueError: two"]

    changed(unit, save)
    assert "was not recorded by ./lab lessons record" in only_finding(unit).what


def test_metadata_of_an_editor(unit):
    changed(unit, lambda made: made.metadata.language_info.update(version="3.11.2"))
    assert "changed by an editor" in only_finding(unit).what


def test_a_missing_notebook(unit, capsys):
    unit.notebook.unlink()
    assert lessons.check([]) == 1
    said = capsys.readouterr().out
    assert "01_orders.ipynb: the notebook is missing." in said
    assert "./lab lessons record 1/01" in said


def test_all_is_well(unit, capsys):
    assert lessons.check(["1/01"]) == 0
    assert "1 notebooks, 0 not as their pages say." in capsys.readouterr().out
    assert lessons.differences(unit) == []


class TestSanitize:
    MESSY = (
        "\x1b[31mred\x1b[0m\x1b[1m end\x1b[0m <Basic at 0x7f3a2b1c9d00> /tmp/ipykernel_42/1234.py:3: Warning\n"
        'File "/home/me/.venv/lib/python3.12/site-packages/pika/x.py" amq.gen-JzTY20BRgKO_HjmUJj0wLg ctag1.0123456789abcdef0123\n'
    )

    def test_what_belongs_to_one_machine_goes(self):
        clean = sanitize.text(self.MESSY)
        assert clean == ('red end <Basic at 0x...> <cell>:3: Warning\nFile "<packages>/pika/x.py" amq.gen-... ctag...\n')

    def test_twice_is_as_good_as_once(self):
        once = sanitize.text(self.MESSY)
        assert sanitize.text(once) == once

    def test_nbval_reads_the_same_patterns(self):
        plugin = pytest.importorskip("nbval.plugin")
        pairs = plugin.get_sanitize_patterns(sanitize.PATTERNS_FILE.read_text())
        assert [(regex, replacement) for regex, replacement in pairs] == [(p.pattern, r) for p, r in sanitize.patterns()]

    def test_chunks_of_a_stream_are_one_output_and_stdout_comes_first(self):
        error = {"output_type": "stream", "name": "stderr", "text": "e"}
        picture = {"output_type": "display_data", "data": {"text/plain": "p"}, "metadata": {}}
        merged = sanitize.outputs([error, printed("a"), error, printed("b"), picture, printed("c")])
        assert [(o.get("name"), o.get("text")) for o in merged] == [("stdout", "ab"), ("stderr", "ee"), (None, None), ("stdout", "c")]

    def test_a_traceback_is_one_line(self):
        error = {"output_type": "error", "ename": "KeyError", "evalue": "'a'\nand more", "traceback": ["File /home/me", "..."]}
        assert sanitize.outputs([error])[0]["traceback"] == ["KeyError: 'a'"]
        silent = {"output_type": "error", "ename": "KeyboardInterrupt", "evalue": "", "traceback": []}
        assert sanitize.outputs([silent])[0]["traceback"] == ["KeyboardInterrupt"]
