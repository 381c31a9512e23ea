"""The figures of the bench as a picture for the documentation."""

from pathlib import Path
from statistics import median

from rabbitlab.bench.contenders import ALL, LIMIT
from rabbitlab.bench.report import Report

OURS, OTHERS, TOP = "#e8590c", "#868e96", "#1c7ed6"
GROUND, INK = "#fdfdfc", "#343a40"


def draw(report: Report, path: Path) -> None:
    """Bars of the medians with their spread, publishers above consumers, as SVG."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    groups = [[c for c in ALL if c.publishes], [c for c in ALL if not c.publishes]]
    with plt.rc_context({"svg.hashsalt": "rabbitmq-by-doing", "font.size": 9, "text.color": INK, "axes.labelcolor": INK}):
        figure, places = plt.subplots(2, 1, figsize=(8, 4.6), sharex=True, height_ratios=[len(group) for group in groups])
        for place, group in zip(places, groups, strict=True):
            _bars(place, group, report)
        places[-1].set_xlabel("messages a second: median, and the spread of the rounds")
        figure.patch.set_facecolor(GROUND)
        figure.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None})
        plt.close(figure)


def _bars(place, group, report: Report) -> None:
    ordered = sorted(group, key=lambda contender: median(report.rates[contender.name]))
    middles = [median(report.rates[contender.name]) for contender in ordered]
    spread = [
        [middle - min(report.rates[contender.name]) for contender, middle in zip(ordered, middles, strict=True)],
        [max(report.rates[contender.name]) - middle for contender, middle in zip(ordered, middles, strict=True)],
    ]
    colours = [OURS if contender.ours else TOP if contender.name == LIMIT else OTHERS for contender in ordered]
    place.barh([contender.title for contender in ordered], middles, xerr=spread, color=colours, error_kw={"elinewidth": 0.8, "ecolor": INK})
    place.set_facecolor(GROUND)
    place.xaxis.set_major_formatter("{x:,.0f}")
    for side in ("top", "right"):
        place.spines[side].set_visible(False)
