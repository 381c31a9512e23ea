"""``./lab bench``: how fast the production patterns are, each figure as a ratio to what the cluster can take in the same minutes.

Messages a second say more about a machine than about a program. So every contender runs in turn with the others, round after round, and
what is compared with a target is the ratio within a round. The contenders are the programs in ``benchmarks/``.
"""

from pathlib import Path

from rabbitlab import cluster, healing, lock
from rabbitlab.errors import Mendable

ROUNDS = 5
SECONDS = 2.0  # for which a contender publishes
CONSUMED = 10_000  # messages


def run(
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
    everything: bool = False,
    json_file: Path | None = None,
    chart: Path | None = None,
) -> int:
    """Measure, show what came out, and say which targets are met.

    Args:
        rounds: How often each contender runs.
        seconds: For how long each publishes.
        everything: Also validate every notebook, and stop and start the cluster.
        json_file: Write the figures there, too.
        chart: Draw them there, as SVG.

    Returns:
        0 when every target is met, else 1.

    Raises:
        Mendable: no cluster runs, or a contender fails.
    """
    from rabbitlab.bench import charts, contenders, report, screen, timings
    from rabbitlab.bench import rounds as played

    if not cluster.is_running():
        raise Mendable(cluster.NOT_RUNNING)
    if rounds < 1 or seconds <= 0:
        raise Mendable("At least one round, and more than no time: ./lab bench --rounds 5 --seconds 2")
    with lock.exclusive():
        healing.before_use(screen.say)
        with screen.progress(rounds * len(contenders.ALL)) as step:
            rates = played.play(rounds, seconds, CONSUMED, step)
        with screen.progress(rounds * len(timings.tasks(everything))) as step:
            took = timings.measure(rounds, everything, step)
    if everything:  # those that break the cluster keep the others out, so the turn must not be ours
        with screen.share(timings.EVERY) as far:
            took |= timings.every_notebook(far)
    found = report.Report(rates, took, rounds, seconds)
    screen.show(found)
    if json_file:
        found.save(json_file)
    if chart:
        charts.draw(found, chart)
    return 0 if found.met else 1
