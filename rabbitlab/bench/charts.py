"""The figures of the bench as a picture for the documentation."""

from pathlib import Path
from statistics import median

from rabbitlab.bench.contenders import ALL, LIMIT, TITLES
from rabbitlab.bench.report import Report
from rabbitlab.bench.timings import FLOOR

OURS, OTHERS, TOP = "#e8590c", "#868e96", "#1c7ed6"
MINE = {contender.title for contender in ALL if contender.ours}
LIMITS = {TITLES[LIMIT], FLOOR}
GROUND, INK = "#fdfdfc", "#343a40"


def draw(report: Report, path: Path) -> None:
    """Bars of the medians with their spread, as SVG: publishers, consumers, and below, on a scale of its own, what takes seconds."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    publishers, consumers = ({c.title: report.rates[c.name] for c in ALL if c.publishes is which} for which in (True, False))
    panels = [dict(sorted(bars.items(), key=lambda bar: median(bar[1]))) for bars in (publishers, consumers)]
    panels.append(dict(reversed(report.timings.items())))
    with plt.rc_context({"svg.hashsalt": "rabbitmq-by-doing", "font.size": 9, "text.color": INK, "axes.labelcolor": INK}):
        figure, places = plt.subplots(3, 1, figsize=(8, 6.4), height_ratios=[len(bars) for bars in panels])
        for place, bars in zip(places, panels, strict=True):
            _bars(place, bars)
        places[1].sharex(places[0])
        places[1].set_xlabel("messages a second: median, and the spread of the rounds")
        places[2].set_xscale("log")
        places[2].set_xlabel("seconds, each step ten times the one before: median, and the spread of the rounds")
        places[2].xaxis.set_major_formatter("{x:g}")
        figure.patch.set_facecolor(GROUND)
        figure.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None})
        plt.close(figure)


def _bars(place, bars: dict[str, list[float]]) -> None:
    middles = [median(figures) for figures in bars.values()]
    spread = [
        [middle - min(figures) for middle, figures in zip(middles, bars.values(), strict=True)],
        [max(figures) - middle for middle, figures in zip(middles, bars.values(), strict=True)],
    ]
    colours = [OURS if title in MINE else TOP if title in LIMITS else OTHERS for title in bars]
    place.barh(list(bars), middles, xerr=spread, color=colours, error_kw={"elinewidth": 0.8, "ecolor": INK})
    place.set_facecolor(GROUND)
    place.xaxis.set_major_formatter("{x:,.0f}")
    for side in ("top", "right"):
        place.spines[side].set_visible(False)
