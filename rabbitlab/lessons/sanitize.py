"""Take out of outputs what differs from machine to machine and run to run.

The patterns stand in ``jupyter/nbval_sanitize.cfg``, in nbval's format: recording applies them to what it stores, and nbval
applies the same ones to what it compares. Applying them twice changes nothing more; a test keeps that true.
"""

import re
from functools import cache
from pathlib import Path

from rabbitlab.lessons import figures

PATTERNS_FILE = Path(__file__).resolve().parents[2] / "jupyter" / "nbval_sanitize.cfg"


@cache
def patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Each pattern with what replaces it, in the order in which they are applied."""
    pairs = re.findall(r"^regex: (.*)$\n^replace: (.*)$", PATTERNS_FILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return tuple((re.compile(regex), replacement) for regex, replacement in pairs)


def text(value: str) -> str:
    """*value* without what varies."""
    for regex, replacement in patterns():
        value = regex.sub(replacement, value)
    return value


def outputs(found: list[dict]) -> list[dict]:
    """The outputs of a cell as they are recorded.

    Chunks of a stream are merged, an error's traceback becomes its one last line, of a figure one picture is kept, and every text goes
    through the patterns.
    """
    return [_clean(output) for output in _merged(found)]


def _merged(found: list[dict]) -> list[dict]:
    """Neighbouring streams as one each, stdout first: the order in which their chunks arrive is chance."""
    merged, streams = [], {}
    for output in found:
        if output["output_type"] != "stream":
            merged += [streams.pop(name) for name in ("stdout", "stderr") if name in streams]
            merged.append(output)
        elif output["name"] in streams:
            streams[output["name"]]["text"] += _joined(output["text"])
        else:
            streams[output["name"]] = {**output, "text": _joined(output["text"])}
    return merged + [streams[name] for name in ("stdout", "stderr") if name in streams]


def _clean(output: dict) -> dict:
    kind = output["output_type"]
    if kind == "stream":
        return {"output_type": kind, "name": output["name"], "text": text(output["text"])}
    if kind == "error":
        value = text(output["evalue"])
        return {"output_type": kind, "ename": output["ename"], "evalue": value, "traceback": [_one_line(output["ename"], value)]}
    found = figures.lightest(output["data"])
    data = {mime: text(_joined(value)) if isinstance(value, str | list) else value for mime, value in found.items()}
    cleaned = {"output_type": kind, "data": data, "metadata": {}}
    if kind == "execute_result":
        cleaned["execution_count"] = output["execution_count"]
    return cleaned


def _one_line(name: str, value: str) -> str:
    first = value.strip().splitlines()[0] if value.strip() else ""
    return f"{name}: {first}" if first else name


def _joined(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)
