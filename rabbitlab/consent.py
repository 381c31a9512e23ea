"""Ask before the machine is changed or something is deleted."""

import sys

import typer

from rabbitlab.errors import Mendable


def ask(what: str, *, yes: bool, command: str) -> None:
    """Return when the user agrees to *what*; ``--yes`` has agreed already.

    Args:
        what: What will be done, as a sentence: it is printed either way.
        yes: The user said ``--yes``.
        command: The command that says yes, for where nobody can be asked (no terminal).

    Raises:
        Mendable: when the user declines, or cannot be asked.
    """
    if yes:
        typer.echo(what)
        return
    if not sys.stdin.isatty():
        raise Mendable(f"{what}\nAllow it with: {command}")
    typer.echo(what)
    if not typer.confirm("Go on?"):
        raise Mendable("Nothing was changed.")
