"""Plots: recorded once, sharp or light, the same each time, and shown with words for who cannot see them."""

import pytest

from rabbitlab import cluster, lessons
from rabbitlab.lessons import figures, hook, notebook, recording

PLOT = """# Plot

```python
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(7, 2.6))
axes.plot(range({points}), [n * 7919 % 100 for n in range({points})])
axes.set_title("depth of orders")
axes.set_ylabel("messages")
plt.show()
```
"""


@pytest.fixture(autouse=True)
def _no_broker_is_needed(monkeypatch):
    monkeypatch.setattr(cluster, "is_running", lambda: True)


def recorded(course, points: int) -> dict:
    unit = course.page(PLOT.replace("{points}", str(points)))
    assert lessons.record(["1/01"]) == 0
    (output,) = notebook.code_cells(notebook.read(unit.notebook))[0].outputs
    return output["data"]


def test_a_plot_is_recorded_as_one_svg_the_same_each_time(course):
    data = recorded(course, points=50)
    assert set(data) == {"text/plain", figures.SHARP}
    assert data["text/plain"] == "<Figure size 700x260 with 1 Axes>"
    assert len(data[figures.SHARP]) < figures.MOST
    before = (course.root / "notebooks" / "module_1_foundations" / "01_orders.ipynb").read_text()
    recorded(course, points=50)
    assert (course.root / "notebooks" / "module_1_foundations" / "01_orders.ipynb").read_text() == before


def test_a_plot_of_many_points_is_recorded_as_png(course):
    data = recorded(course, points=20_000)
    assert set(data) == {"text/plain", figures.LIGHT}
    assert len(data[figures.LIGHT]) < figures.MOST * 4 / 3


def test_a_plot_is_shown_with_its_words(course):
    html = hook.shown({"output_type": "display_data", "data": recorded(course, points=5), "metadata": {}})
    assert '<img src="data:image/svg+xml,' in html
    assert 'alt="Plot: messages, depth of orders"' in html


def test_fonts_are_looked_for_before_a_cell_would(course, monkeypatch):
    prepared = []
    monkeypatch.setattr(recording.figures, "prepare", lambda: prepared.append(True))
    course.page("# None\n\n```python\nprint(1)\n```\n")
    lessons.record(["1/01"])
    assert not prepared
    recorded(course, points=5)
    assert prepared
