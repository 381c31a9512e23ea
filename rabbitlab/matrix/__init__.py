"""The fault matrix as a program: ``./lab faults``. Each row breaks something while messages flow, and asks the ledger what was lost.

Which faults there are, what must hold in each and within which time, is the table of docs and of :mod:`rabbitlab.matrix.plays`. The
programs that play are no part of this package: they use :mod:`rabbitlab.patterns`, which stands apart.
"""

import gzip
import secrets
import shutil
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from rabbitlab import cluster, healing, lock
from rabbitlab.errors import Mendable
from rabbitlab.ledger import Ledger
from rabbitlab.matrix import results
from rabbitlab.matrix.judging import HELD, INFRASTRUCTURE, judged
from rabbitlab.matrix.row import MESSAGES, ROWS, Row
from rabbitlab.matrix.scene import Missed, Scene
from rabbitlab.units import ROOT, STATE

RESULTS = STATE / "faults.jsonl"
FOLDER = STATE / "faults"
PROGRAMS = ("patterns", "plain", "careless")


def run(
    names: list[str],
    runs: int | None = None,
    file: Path = RESULTS,
    seed: int | None = None,
    programs: str = "patterns",
    markdown: Path | None = None,
) -> int:
    """Play rows of the matrix, show what happens, and end with the table.

    Args:
        names: The rows; all when none is named.
        runs: Until the file holds so many runs of each, so that a series that was ended goes on. Without it, one more run of each.
        file: Where each run is added as a line of JSON.
        seed: Of the first run; a new one each time unless given.
        programs: ``patterns``; or ``plain`` (the usual loops) and ``careless`` (without confirms and acknowledgements), to compare.
        markdown: Write the table there, too, with each miss. With ``runs`` 0 nothing is played for it.

    Returns:
        0 when every promise was kept in every run that the table shows.

    Raises:
        Mendable: no such row, or no cluster.
    """
    from rabbitlab.matrix import report, screen

    rows = chosen(names)
    if programs not in PROGRAMS:
        raise Mendable(f"There are no programs {programs!r}. Programs: {', '.join(PROGRAMS)}.")
    if not cluster.is_running():
        raise Mendable(cluster.NOT_RUNNING)
    progress = screen.Progress()
    for row in rows:
        for _ in range(1 if runs is None else max(0, runs - len(results.of(results.read(file), row.name, programs)))):
            _run(row, file, seed, programs, progress)
    found = results.read(file)
    screen.console.print()
    screen.console.print(screen.table(rows, found, programs))
    screen.console.print(f"\nEvery run: {shown(file)}", style="dim")
    if markdown:
        report.write(markdown, rows, found, programs)
    return 0 if all(_held(results.of(found, row.name, programs)) for row in rows) else 1


def chosen(names: list[str]) -> list[Row]:
    """The rows of these names, all for none.

    Raises:
        Mendable: there is no such row.
    """
    from rabbitlab.matrix import plays  # noqa: F401 - enters the rows

    for name in names:
        if name not in ROWS:
            raise Mendable(f"There is no fault {name!r}. Faults: {', '.join(ROWS)}.")
    return [ROWS[name] for name in names or ROWS]


def play(
    row: Row,
    number: int = 0,
    seed: int = 0,
    programs: str = "patterns",
    say: Callable[[str], None] = lambda sentence: None,
    messages: int = MESSAGES,
) -> dict:
    """One run of one row, on a cluster that is whole before it.

    Args:
        row: The row.
        number: Of the run in its series: rows that can strike several roles take turns by it.
        seed: Of what is left to chance.
        programs: As of :func:`run`.
        say: Is given what happens.
        messages: How many are sent at least.

    Returns:
        The result; its ``verdict`` is ``infrastructure`` where the run says nothing about the programs, for the reason in ``error``.
    """
    folder = FOLDER / f"{row.name}-{time.strftime('%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    result = {"row": row.name, "programs": programs, "run": number, "seed": seed, "at": time.strftime("%Y-%m-%d %H:%M:%S")}
    with lock.exclusive() if row.alone else lock.shared():
        began = time.monotonic()
        say("it is our turn on the cluster")
        try:
            healing.before_use(say)
            result |= _played(Scene(row, seed, number, folder, programs, say, messages))
        except Exception as error:  # what is no promise missed is no verdict either
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "error.txt").write_text(traceback.format_exc())
            result |= {"verdict": INFRASTRUCTURE, "error": f"{type(error).__name__}: {error}", "ledger": shown(folder)}
    return result | {"seconds": round(time.monotonic() - began, 1)}


def _played(scene: Scene) -> dict:
    with scene:
        playing = scene.row.play(scene)
        missed = _step(playing, scene)
        verdict = scene.finish()
        if not missed:
            _step(playing, scene)
        playing.close()
        result = judged(scene, verdict)
    result["faults"] = [vars(mark) for mark in scene.marks]
    if result["verdict"] == HELD:
        return result | {"ledger": shown(_packed(scene.ledger))}
    title = f"{scene.row.title}: {result['verdict']}"
    drawn = Ledger(scene.ledger, sync=False).timeline(scene.marks, verdict, title).save(scene.folder / "timeline.svg")
    return result | {"ledger": shown(scene.ledger), "timeline": shown(drawn)}


def _step(playing, scene: Scene) -> bool:
    """Play up to the next yield; whether a promise was seen not to be kept on the way."""
    try:
        next(playing, None)
    except Missed as missed:
        scene.say(f"missed: {missed}")
        scene.missed.append(str(missed))
        return True
    return False


def _run(row: Row, file: Path, seed: int | None, programs: str, progress) -> None:
    """One run, and another one where the cluster failed and not the programs. What was lost is never tried again."""
    for _ in range(2):
        number = len(results.of(results.read(file), row.name, programs))
        chance = secrets.randbelow(1 << 31) if seed is None else seed + number
        progress.begin(row, number, chance)
        result = play(row, number, chance, programs, progress.say)
        results.append(file, result)
        progress.end(result)
        if result["verdict"] != INFRASTRUCTURE:
            return
        healing.put_right(progress.say)


def _held(runs: list[dict]) -> bool:
    return bool(runs) and all(one["verdict"] == HELD for one in runs)


def _packed(ledger: Path) -> Path:
    """A ledger that shows nothing unusual is kept in a tenth of the room."""
    packed = ledger.with_suffix(".jsonl.gz")
    with ledger.open("rb") as source, gzip.open(packed, "wb") as target:
        shutil.copyfileobj(source, target)
    ledger.unlink()
    return packed


def shown(path: Path) -> str:
    """A path as the reader of the repository would type it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
