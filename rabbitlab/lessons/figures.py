"""Plots in notebooks: recorded sharp and small, without a line about it in the lesson."""

import re
import subprocess
import sys
from pathlib import Path

MOST = 60_000  # bytes of a recorded picture
SHARP, LIGHT = "image/svg+xml", "image/png"
_CONFIG = """c.InlineBackend.figure_formats = ["svg", "png"]
c.InlineBackend.rc = {"svg.hashsalt": "rabbitmq-by-doing", "savefig.facecolor": "white"}
"""


def write_profile(ipython_dir: str) -> None:
    """Let kernels of this IPYTHONDIR give each figure as SVG and as PNG, of which :func:`lightest` keeps one."""
    folder = Path(ipython_dir) / "profile_default"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ipython_kernel_config.py").write_text(_CONFIG)


def lightest(data: dict) -> dict:
    """The one picture to record of a figure that is there twice: the SVG, or the PNG where thousands of points make that too large."""
    if SHARP not in data or LIGHT not in data:
        return data
    svg = _undated(data[SHARP] if isinstance(data[SHARP], str) else "".join(data[SHARP]))
    dropped = LIGHT if len(svg.encode()) <= MOST else SHARP
    return {mime: svg if mime == SHARP else value for mime, value in data.items() if mime != dropped}


def words(data: dict) -> str:
    """What a figure says to who cannot see it: the words in it, which matplotlib writes beside the shapes of their letters."""
    plain = data.get("text/plain", "")
    svg = data.get(SHARP, "")
    written = [text for text in re.findall(r"<!-- (.+?) -->", svg) if re.search(r"[A-Za-z]", text)]
    return f"Plot: {', '.join(dict.fromkeys(written))}" if written and plain.startswith("<Figure") else plain


def prepare(wait: bool = True) -> None:
    """Have matplotlib list the machine's fonts, once for each user, so that no cell has to, and to say so.

    Args:
        wait: Come back when it is done, rather than at once.
    """
    running = subprocess.Popen(
        [sys.executable, "-c", "import matplotlib.font_manager"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    if wait:
        running.wait()


def _undated(svg: str) -> str:
    return re.sub(r"\s*<dc:date>[^<]*</dc:date>", "", svg)
