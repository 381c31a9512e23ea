"""From page to notebook: a unit's Markdown is its source, the notebook is made from it, run on the cluster, and committed with outputs."""

from rabbitlab import units


def _with_source(keys: list[str]) -> list[units.Unit]:
    """The units that *keys* mean (all, and the welcome page, for none) and that have a source to make a notebook from."""
    from rabbitlab.errors import Mendable
    from rabbitlab.lessons import welcome

    first = [welcome.Welcome()] if not keys or welcome.NAME in keys else []
    names = [key for key in keys if key != welcome.NAME] if keys else [""]
    found = [*first, *dict.fromkeys(unit for name in names for unit in units.find(name))]
    with_source = [unit for unit in found if unit.kind != "quiz" and unit.source.exists()]
    if keys and not with_source:
        missing = found[0].source.relative_to(units.ROOT)
        raise Mendable(
            f"{' '.join(keys)} has no notebook: quizzes have none, and lessons and walkthroughs are made from a page ({missing})."
        )
    return with_source


def build(keys: list[str]) -> int:
    """Make the notebooks from the pages; the outputs of cells that did not change stay.

    Args:
        keys: Units or modules; all when empty.

    Returns:
        The exit status, 0.

    Raises:
        Mendable: for a page that cannot be made into a notebook.
    """
    from rabbitlab.lessons import building

    return building.build(_with_source(keys))


def record(keys: list[str], measured: bool = False) -> int:
    """Run every cell on the live cluster and store what it shows, so that recording again changes nothing.

    Args:
        keys: Units or modules; all when empty.
        measured: Also record anew the cells tagged ``measured``, whose numbers differ from machine to machine.

    Returns:
        The exit status: 1 when a cell failed.

    Raises:
        Mendable: when the cluster does not run, or a page cannot be made into a notebook.
    """
    from rabbitlab.lessons import recording

    return recording.record(_with_source(keys), measured=measured)


def check(keys: list[str]) -> int:
    """Compare each page with its notebook, cell by cell, and refuse cells that were never run. Needs no cluster.

    Args:
        keys: Units or modules; all when empty.

    Returns:
        The exit status: 1 when anything differs, after printing what, where, and the command that mends it.
    """
    from rabbitlab.lessons import checking

    return checking.check(_with_source(keys))


def differences(unit: units.Unit) -> list[str]:
    """What keeps the notebook of *unit* from being its page, run: a sentence each, with file, line and the command that mends it."""
    from rabbitlab.lessons import checking

    return [f"{finding.where}: {finding.what} Mend it: {finding.mend}" for finding in checking.findings(unit)]
