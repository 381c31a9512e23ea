"""Healing, shown on the terminal."""

import time

from rich.console import Console

from rabbitlab import healing

console = Console(highlight=False, markup=False)


def show() -> None:
    """Heal, and show what is mended and what is waited for: ``./lab heal``.

    Raises:
        Mendable: what could not be mended.
    """
    with console.status("Waiting for our turn on the cluster") as line, healing.our_turn():
        began = time.monotonic()
        line.update("Looking at the cluster")
        mended = healing.heal(told(line))
    console.print(f"{'Whole again' if mended else 'Nothing was broken: the cluster is whole'} ({time.monotonic() - began:.1f} s).")


def told(line):
    """What to give to :func:`rabbitlab.healing.heal`: prints what was mended, and shows in *line* what is waited for."""

    def tell(sentence: str) -> None:
        if sentence.startswith("waiting: "):
            line.update(f"Waiting: {sentence.removeprefix('waiting: ')}")
        else:
            console.print(f"  {sentence}", soft_wrap=True)

    return tell
