"""Judge a run: by the ledger for safety, by the clock and by what the programs report for the promises with a number."""

from rabbitlab.ledger import DONE, SENT, Verdict
from rabbitlab.matrix.scene import PREFETCH, Scene
from rabbitlab.matrix.watch import longest_gap

HELD, MISSED, UNSAFE, INFRASTRUCTURE = "held", "missed", "UNSAFE", "infrastructure"
GRACE = 0.5  # seconds beyond its deadline in which publish() must have ended


def judged(scene: Scene, verdict: Verdict) -> dict:
    """What is saved of a run: ``verdict`` is ``held``, ``missed`` (a promise) or ``UNSAFE`` (something lost or unexpected)."""
    gap = _gap(scene)
    _check_numbers(scene, verdict, gap)
    found = HELD if verdict.valid and not scene.missed else MISSED if verdict.valid else UNSAFE
    return {
        "verdict": found,
        "lost": len(verdict.lost),
        "unexpected": len(verdict.unexpected),
        "duplicated": len(verdict.duplicated),
        "recovered": len(verdict.recovered),
        **verdict.counts,
        "gap": round(gap, 2),
        "limit": scene.row.limit,
        "missed": scene.missed,
        "notes": scene.notes,
        "publisher": scene.reports("publisher"),
        "consumer": scene.reports("consumer"),
        "examples": {"lost": verdict.lost[:10], "unexpected": verdict.unexpected[:10]},
    }


def _gap(scene: Scene) -> float:
    """The longest time without an effect while messages were sent; or, of a row that measures after the fault, until the first effect."""
    moments = scene.watch.look().moments(DONE)
    sent = scene.watch.last.get(SENT, 0.0)
    if not scene.row.after:
        began = min((mark.began for mark in scene.marks), default=moments[0] if moments else sent)
        return longest_gap(moments, began, sent)[0]
    gaps = []
    for mark in scene.marks:
        since = getattr(mark, scene.row.after) or mark.ended or mark.began
        first = next((at for at in moments if at >= (mark.mending or since)), sent)
        gaps.append(max(0.0, first - since))
    return max(gaps, default=0.0)


def _check_numbers(scene: Scene, verdict: Verdict, gap: float) -> None:
    limit = scene.row.limit
    if limit is not None:
        what = "messages flowed again after" if scene.row.after else "nothing was handled for"
        scene.check(gap <= limit, f"{what} {gap:.1f} s, {limit:g} s at most")
    scene.check(verdict.counts["sent"] >= scene.messages, f"only {verdict.counts['sent']} messages were sent, {scene.messages} at least")
    scene.check(not (left := scene.watch.open()), f"{len(left)} messages are neither confirmed, failed nor unknown to their publisher")
    scene.check(not scene.ready, f"{len(scene.ready)} messages are still in a queue")
    spurious = [id for id in scene.dead if scene.special().get(id) != "raise"]
    scene.check(not spurious, f"{len(spurious)} messages were dead-lettered, though nothing was wrong with them")
    for report in scene.reports("publisher"):
        _check_publisher(scene, report)
    most = _most_duplicates(scene)
    scene.check(most is None or len(verdict.duplicated) <= most, f"{len(verdict.duplicated)} came twice, {most} at most would be explained")


def _most_duplicates(scene: Scene) -> int | None:
    """What may come twice: what was open at each lost connection of a publisher, and what was fetched at each fault of a consumer.

    None where the programs do not count their connections.
    """
    publishers, consumers = scene.reports("publisher"), scene.reports("consumer")
    if not all("reconnects" in report for report in publishers):
        return None
    sent_again = sum(int(report["reconnects"] or 0) * report["most_in_flight"] for report in publishers)
    faults = len(scene.marks) + len(scene.special()) + scene.restarts + sum(int(one.get("reconnects_total") or 0) for one in consumers)
    return sent_again + faults * PREFETCH


def _check_publisher(scene: Scene, report: dict) -> None:
    """P2 and P3, as the program has measured them from outside."""
    deadline, window = report.get("deadline"), report.get("window")
    if still := report.get("stood_still"):
        scene.notes.append(f"the publisher had no processor for {still:.1f} s")
    if deadline is not None:
        for what, word in (("longest_call", "publish()"), ("longest_outcome", "an outcome")):
            scene.check(report[what] <= deadline + GRACE, f"{word} took {report[what]:.1f} s, its deadline was {deadline:g} s")
    if window is not None:
        scene.check(report["most_in_flight"] <= window, f"{report['most_in_flight']} messages were in flight, the window is {window}")
