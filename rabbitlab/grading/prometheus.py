"""Prometheus and Alertmanager of the profile ``monitoring``, as a grader uses them: two files, loaded and removed; questions by HTTP."""

import http.client
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from rabbitlab import stalls
from rabbitlab.errors import Mendable
from rabbitlab.nodes import ALERTMANAGER_PORT, HOST, PROMETHEUS_PORT
from rabbitlab.units import ROOT

FOLDER = ROOT / "docker" / "prometheus" / "yours"  # what Prometheus reads beside the course's own files
INSIDE = "/etc/prometheus/yours"  # the same folder in its container
NOT_RUNNING = "Prometheus and Alertmanager are not running. Start them with: ./lab up --monitoring"


class Prometheus:
    """Two files in Prometheus for as long as the ``with`` lasts; afterwards it is as before, whatever happened.

    Args:
        stem: Of the files, ``ex_03``: a name of one's own, since all units share one Prometheus.
    """

    def __init__(self, stem: str):
        self._scrape, self._rules = FOLDER / f"{stem}.scrape.yml", FOLDER / f"{stem}.rules.yml"
        self._candidate = FOLDER / f"{stem}.candidate"
        self._loaded = None
        self.need()
        self.close()  # what a run left that was killed

    def __enter__(self) -> "Prometheus":
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Remove the two files, and let Prometheus forget them. Twice does no harm."""
        there = [file for file in (self._scrape, self._rules, self._candidate) if file.exists()]
        for file in there:
            file.unlink(missing_ok=True)
        self._loaded = None
        if there:
            _reload()

    @staticmethod
    def need() -> None:
        """Raise Mendable, with the command that mends it, where Prometheus or Alertmanager does not answer, or is another copy's."""
        from rabbitlab import cluster, containers

        if containers.state("prometheus") == "paused":  # by a run that was killed while Prometheus looked away
            containers.of("prometheus").unpause()
        try:
            ready = _get(PROMETHEUS_PORT, "/-/ready")[0] == _get(ALERTMANAGER_PORT, "/-/ready")[0] == 200
        except (OSError, http.client.HTTPException):
            ready = False
        if not ready:
            raise Mendable(NOT_RUNNING)
        container = cluster.containers().get("prometheus")
        if container and not container.ours:
            another = f"another copy of the course ({container.folder})"
            raise Mendable(f"Prometheus reads the files of {another}. To let it read yours: ./lab up --monitoring")

    def complaint(self, kind: str, text: str) -> str:
        """What Prometheus' own checker says of a file, in one line; nothing when it has nothing to say.

        Args:
            kind: ``config`` (a file with ``scrape_configs``) or ``rules``.
            text: What would be in the file.
        """
        _write(self._candidate, text)
        try:
            return _checked(kind, f"{INSIDE}/{self._candidate.name}", *(["--syntax-only"] if kind == "config" else []))
        finally:
            self._candidate.unlink(missing_ok=True)

    def load(self, scrape: str, rules: str) -> str:
        """Let Prometheus read both files; again is nothing. Returns what it says against them, or nothing."""
        if self._loaded == (scrape, rules):
            return ""
        _write(self._scrape, scrape)
        _write(self._rules, rules)
        status, text = _reload()
        if status != 200:
            reason = _checked("config", f"{Path(INSIDE).parent}/prometheus.yml")  # the answer to a reload has none
            self.close()
            return reason or _in_one_line(text)
        self._loaded = scrape, rules
        self._need_names_of_our_own()
        return ""

    @contextmanager
    def looking_away(self) -> Iterator[None]:
        """Prometheus sees nothing of what happens inside the ``with``: it is paused. What is there afterwards is new to it."""
        from rabbitlab import containers

        container = containers.of("prometheus")
        try:
            with containers.speaking_plainly():
                container.pause()
            yield
        finally:
            if containers.state("prometheus") == "paused":  # else it never was, or somebody has healed meanwhile
                with containers.speaking_plainly():
                    container.unpause()

    def query(self, expression: str) -> list[tuple[dict, float]]:
        """The series that a PromQL expression has at this moment, as (labels, value)."""
        found = self._api("query", query=expression)["result"]
        return [(series["metric"], float(series["value"][1])) for series in found]

    def samples(self, selector: str, seconds: int) -> list[tuple[float, float]]:
        """The samples of the last *seconds* of all series that *selector* means, as (Unix time, value), oldest first."""
        found = self._api("query", query=f"{selector}[{seconds}s]")["result"]
        return sorted((float(at), float(value)) for series in found for at, value in series["values"])

    def targets(self, jobs: set[str]) -> list[dict]:
        """What is scraped for these jobs: ``scrapeUrl``, ``health``, ``lastError``, ``scrapeInterval``, ``labels``."""
        return [target for target in self._api("targets", state="active")["activeTargets"] if target["scrapePool"] in jobs]

    def active(self, alert: str) -> list[dict]:
        """The labels of each alert of this name that is pending or firing."""
        return [found["labels"] for found in self._api("alerts")["alerts"] if found["labels"].get("alertname") == alert]

    def told(self, alert: str) -> list[dict]:
        """The labels of each alert of this name that Alertmanager has, and that Prometheus still stands by.

        What a file said that was removed since, Alertmanager keeps for some minutes.
        """
        found = [one["labels"] for one in json.loads(_get(ALERTMANAGER_PORT, "/api/v2/alerts?active=true")[1])]
        return [labels for labels in self.active(alert) if labels in found]

    def evaluated(self, group_file: str = "") -> float:
        """When the rules of our file were last evaluated, all of them: Unix time; 0 while they never were."""
        groups = [g for g in self._api("rules")["groups"] if Path(g["file"]).name == (group_file or self._rules.name)]
        return min((_unix(group["lastEvaluation"]) for group in groups), default=0.0)

    def _need_names_of_our_own(self) -> None:
        """An alert of the same name in another file would be taken for ours."""
        named = {}
        for group in self._api("rules", type="alert")["groups"]:
            for rule in group["rules"]:
                named.setdefault(rule["name"], set()).add(Path(group["file"]).name)
        for name, files in named.items():
            if self._rules.name in files and (others := sorted(files - {self._rules.name})):
                self.close()
                raise Mendable(
                    f"An alert {name} stands in docker/prometheus/yours/{others[0]}, too. Remove that file, or give it another name."
                )

    def _api(self, what: str, **query):
        status, text = _get(PROMETHEUS_PORT, f"/api/v1/{what}?{urlencode(query)}")
        if status != 200:
            raise ValueError(f"Prometheus says {status} to {what} {query}: {text}")
        return json.loads(text)["data"]


def _checked(kind: str, file: str, *options: str) -> str:
    """What promtool says against a file in the container."""
    from rabbitlab import containers

    container = containers.of("prometheus")
    with containers.speaking_plainly():
        done = container.exec_run(["promtool", "check", kind, *options, file])
    return "" if done.exit_code == 0 else _in_one_line(done.output.decode(errors="replace"))


def _reload() -> tuple[int, str]:
    return _ask("POST", PROMETHEUS_PORT, "/-/reload", timeout=20)


def _get(port: int, path: str) -> tuple[int, str]:
    return _ask("GET", port, path, timeout=20)  # a machine that stalls for some seconds does not mean that nobody is there


def _ask(method: str, port: int, path: str, timeout: float) -> tuple[int, str]:
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


def _write(file: Path, text: str) -> None:
    """Never half a file: Prometheus may read at any time."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, file)


def _in_one_line(text: str) -> str:
    """Prometheus' message without its progress, its colours and our file names."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("Checking ", "  SUCCESS"))]
    told = " ".join(lines)
    told = re.sub(rf"{INSIDE}/[\w.]+:? ?", "", told).replace("FAILED:", "").replace("FAILED", "")
    return " ".join(told.split())[:400]


def _unix(stamp: str) -> float:
    """RFC 3339 with nanoseconds to seconds since 1970."""
    from datetime import datetime

    whole = re.sub(r"(\.\d{6})\d*", r"\1", stamp).replace("Z", "+00:00")
    return datetime.fromisoformat(whole).timestamp()


def wait_for(condition, within: float, every: float = 0.1):
    """Ask *condition* until it gives something, and return that; what it gave last when time is up.

    Args:
        condition: Called without arguments.
        within: Seconds, without those in which this machine stood still.
        every: Seconds between two questions.
    """
    end = stalls.clock() + within
    while not (found := condition()) and stalls.clock() < end:
        time.sleep(every)
    return found
