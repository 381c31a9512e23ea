"""A picture of a run: how much happened in each moment, and what was broken meanwhile.

It is an SVG on a light ground of its own, so that it reads the same on a light and on a dark page, and it needs no fonts or scripts.
"""

from collections.abc import Iterable
from html import escape
from pathlib import Path

WIDTH, LEFT, RIGHT = 760, 96, 16
ROW, GAP, LANE, TOP = 44, 10, 18, 12
BINS = 160
INK, FAINT, GROUND = "#343a40", "#868e96", "#fdfdfc"
COLOURS = ("#1c7ed6", "#0c8599", "#2f9e44", "#6741d9")  # rows, in order
MARKS = ("#b35c00", "#c92a2a")  # rows of ticks, in order; the last is bad
FAULT = "#e8590c"
LETTER = 6.2  # about the width of a letter of 11 px


class Timeline:
    """Shown as a picture at the end of a notebook's cell; :meth:`save` keeps it as a file.

    Args:
        rows: Name of each row, and the moments at which something of it happened, in seconds of ``time.monotonic()``.
        marks: Single moments that matter: each name has a row of ticks; a name without any is left out.
        faults: Each with ``.name``, ``.began``, ``.ended`` (None: still going on).
        title: Above the picture.

    Attributes:
        svg: The picture.
    """

    def __init__(self, rows: dict[str, list[float]], marks: dict[str, list[float]], faults: Iterable = (), title: str = ""):
        self._rows, self._faults, self._title = rows, sorted(faults, key=lambda fault: fault.began), title
        self._mark_colours = {name: MARKS[n % len(MARKS)] for n, name in enumerate(marks)}
        self._marks = {name: at for name, at in marks.items() if at}
        moments = [at for row in rows.values() for at in row] + [fault.began for fault in self._faults]
        moments += [fault.ended for fault in self._faults if fault.ended is not None]
        self._begin = min(moments, default=0.0)
        self._end = max(max(moments, default=1.0), self._begin + 1e-3)
        self.svg = self._draw()

    def __str__(self) -> str:
        """The rows and the faults in words."""
        told = [f"{name}: {len(at)}" for name, at in {**self._rows, **self._marks}.items()]
        lines = [f"{self._end - self._begin:.1f} s; {', '.join(told)}"]
        for fault in self._faults:
            lines.append(f"  {fault.began - self._begin:6.1f} s to {self._ended(fault) - self._begin:6.1f} s  {fault.name}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"image/svg+xml": self.svg, "text/plain": str(self)}

    def save(self, path) -> Path:
        """Write the picture to *path*, an SVG; or a page that shows it, when the name ends in ``.html``. Returns the path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        title = escape(self._title or "Timeline")
        page = f"<!doctype html><meta charset=utf-8><title>{title}</title><body style='margin:2em'>{self.svg}</body>\n"
        path.write_text(page if path.suffix == ".html" else self.svg + "\n", encoding="utf-8")
        return path

    def _ended(self, fault) -> float:
        return self._end if fault.ended is None else fault.ended

    def _x(self, at: float) -> float:
        return LEFT + (at - self._begin) / (self._end - self._begin) * (WIDTH - LEFT - RIGHT)

    def _draw(self) -> str:
        """From top to bottom: the title, the faults in lanes, a row for each kind of event, the ticks, the seconds."""
        parts: list[str] = []
        y = TOP
        if self._title:
            parts.append(_text(LEFT, y + 8, self._title, INK, "font-weight='600'"))
            y += 22
        lanes = self._lanes()
        band_top, y = y, y + LANE * (max(lanes, default=-1) + 1) + (GAP if lanes else 0)
        height = y + len(self._rows) * (ROW + GAP) + len(self._marks) * (LANE + 4) + 22
        for fault, lane in zip(self._faults, lanes, strict=True):
            parts += self._fault(fault, band_top + lane * LANE, height - 22)
        for n, (name, moments) in enumerate(self._rows.items()):
            parts += self._row(name, moments, y, COLOURS[n % len(COLOURS)])
            y += ROW + GAP
        for name, moments in self._marks.items():
            parts += self._ticks(name, moments, y, self._mark_colours[name])
            y += LANE + 4
        parts += self._seconds(y, height)
        label = escape(f"Timeline: {str(self).splitlines()[0]}", quote=True)
        return (
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' role='img' aria-label='{label}' "
            f"style='max-width:100%;height:auto' font-family='system-ui,sans-serif' font-size='11'>"
            f"<rect width='{WIDTH}' height='{height}' rx='6' fill='{GROUND}'/>{''.join(parts)}</svg>"
        )

    def _lanes(self) -> list[int]:
        """A lane for each fault in which neither its bar nor its name meets another."""
        free: list[float] = []  # where each lane's last one ends
        lanes = []
        for fault in self._faults:
            begin, end = self._spread(fault)
            lane = next((n for n, taken in enumerate(free) if taken < begin), len(free))
            free[lane:] = [end] if lane == len(free) else [end, *free[lane + 1 :]]
            lanes.append(lane)
        return lanes

    def _spread(self, fault) -> tuple[float, float]:
        """From where to where a fault's bar and its name reach."""
        begin, end = self._x(fault.began), max(self._x(self._ended(fault)), self._x(fault.began) + 3)
        name = len(fault.name) * LETTER + 6
        return (begin, end + name) if end + name < WIDTH - RIGHT else (begin - name, end)

    def _fault(self, fault, y: float, bottom: float) -> list[str]:
        begin, end = self._x(fault.began), max(self._x(self._ended(fault)), self._x(fault.began) + 3)
        after = end + len(fault.name) * LETTER + 6 < WIDTH - RIGHT
        where, anchor = (end + 5, "start") if after else (begin - 5, "end")
        seconds = f"{fault.began - self._begin:.1f} s to {self._ended(fault) - self._begin:.1f} s"
        return [
            f"<g><title>{escape(fault.name)}, {seconds}</title>"
            f"<rect x='{begin:.1f}' y='{y}' width='{end - begin:.1f}' height='{bottom - y:.0f}' fill='{FAULT}' opacity='.09'/>"
            f"<rect x='{begin:.1f}' y='{y + 3}' width='{end - begin:.1f}' height='{LANE - 8}' rx='2' fill='{FAULT}'/>",
            _text(where, y + LANE / 2 + 2, fault.name, INK, f"text-anchor='{anchor}'"),
            "</g>",
        ]

    def _row(self, name: str, moments: list[float], y: float, colour: str) -> list[str]:
        """A hill: how many a second."""
        seconds = (self._end - self._begin) / BINS
        counts = [0] * BINS
        for at in moments:
            counts[min(BINS - 1, int((at - self._begin) / seconds))] += 1
        most = max(counts) or 1
        step = (WIDTH - LEFT - RIGHT) / BINS
        path = "".join(f"V{y + ROW - (ROW - 2) * n / most:.1f}h{step:.3f}" for n in counts)
        return [
            _text(LEFT - 10, y + 14, name, colour, "text-anchor='end' font-weight='600'"),
            _text(LEFT - 10, y + 28, f"{len(moments)}", FAINT, "text-anchor='end'"),
            _text(LEFT - 10, y + 41, f"up to {most / seconds:.0f}/s" if moments else "", FAINT, "text-anchor='end'"),
            f"<path d='M{LEFT},{y + ROW}{path}V{y + ROW}Z' fill='{colour}' fill-opacity='.75'/>",
            f"<path d='M{LEFT},{y + ROW}H{WIDTH - RIGHT}' stroke='{FAINT}' stroke-width='.7'/>",
        ]

    def _ticks(self, name: str, moments: list[float], y: float, colour: str) -> list[str]:
        places = sorted({f"{self._x(at):.1f}" for at in moments})
        words = name.split(", ")
        return [
            *(_text(LEFT - 10, y + 10 + 11 * n - 5 * (len(words) - 1), word, colour, "text-anchor='end'") for n, word in enumerate(words)),
            f"<path d='{''.join(f'M{x},{y + 2}v{LANE - 4}' for x in places)}' stroke='{colour}' stroke-width='1.4'/>",
        ]

    def _seconds(self, y: float, height: float) -> list[str]:
        whole = self._end - self._begin
        step = next((s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600) if whole / s <= 12), 1800)
        parts = []
        for n in range(int(whole / step) + 1):
            x = self._x(self._begin + n * step)
            parts.append(f"<path d='M{x:.1f},{y - GAP + 4}v4' stroke='{FAINT}'/>")
            parts.append(_text(x, height - 6, f"{n * step:g}" + (" s" if n == 0 else ""), FAINT, "text-anchor='middle'"))
        return parts


def _text(x: float, y: float, words: str, colour: str, more: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' fill='{colour}' {more}>{escape(words)}</text>"
