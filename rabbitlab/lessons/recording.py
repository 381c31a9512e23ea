"""Run every cell of a notebook on the live cluster and store what it shows."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable

from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode, from_dict
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from traitlets import default

from rabbitlab import cluster, healing, lock
from rabbitlab.errors import Mendable
from rabbitlab.lessons import building, figures, notebook, sanitize
from rabbitlab.lessons.kernels import OwnSockets
from rabbitlab.units import Unit

CELL_TIMEOUT = 60  # seconds; a lesson's longest wait is for a missed heartbeat
QUIET_ENVIRONMENT = {"NO_COLOR": "1", "COLUMNS": "100", "PYTHONWARNINGS": ""}


class CellFailed(Exception):
    """A cell of a unit did not do what its page says: the message names unit, cell and line."""


def record(units: list[Unit], measured: bool = False) -> int:
    """Record each unit; see :func:`rabbitlab.lessons.record`."""
    if not cluster.is_running():
        raise Mendable(cluster.NOT_RUNNING)
    console, failures, started = Console(), [], time.monotonic()
    pages = [(unit, notebook.from_page(unit)) for unit in units]
    with _progress(console) as progress:
        task = progress.add_task("", total=sum(len(notebook.code_cells(made)) for _, made in pages))
        for unit, made in pages:
            progress.update(task, description=unit.short)
            before = progress.tasks[0].completed
            try:
                run(unit, made, measured=measured, on_cell=lambda: progress.advance(task))
                if notebook.write(made, unit.notebook):
                    console.print(f"{notebook.shown(unit.notebook)} changed", highlight=False, soft_wrap=True)
            except CellFailed as failure:
                failures.append(unit)
                console.print(f"[red]{escape(str(failure))}[/red]", highlight=False, soft_wrap=True)
            progress.update(task, completed=before + len(notebook.code_cells(made)))
    console.print(f"{len(units) - len(failures)} recorded, {len(failures)} failed in {time.monotonic() - started:.0f} s.", highlight=False)
    building.refresh_welcome()
    return 1 if failures else 0


def run(
    unit: Unit,
    made: NotebookNode,
    measured: bool = False,
    on_cell: Callable[[], None] = lambda: None,
    timeout: float = CELL_TIMEOUT,
) -> None:
    """Run every cell of *made* in a new kernel, in the folder of the notebook, and put the outputs into it.

    Args:
        unit: The unit, for messages, for the folder, and for outputs to keep.
        made: The notebook from the page; changed in place.
        measured: Take the new output of cells tagged ``measured`` instead of the committed one.
        on_cell: Called after each cell.
        timeout: Seconds that a cell may take.

    Raises:
        CellFailed: when a cell raises without the tag ``raises-exception``, has the tag and raises nothing, or takes too long.
    """
    unit.notebook.parent.mkdir(parents=True, exist_ok=True)
    with lock.turn(unit.source), tempfile.TemporaryDirectory(prefix="rabbitlab-") as profile:
        figures.write_profile(profile)
        if any("matplotlib" in cell.source for cell in notebook.code_cells(made)):
            figures.prepare()
        healing.before_use(lambda sentence: print(sentence, flush=True))
        client = _client(made, timeout)
        with client.setup_kernel(cwd=str(unit.notebook.parent), env=_environment(profile), stderr=subprocess.DEVNULL):
            for number, (index, cell) in enumerate((i, c) for i, c in enumerate(made.cells) if c.cell_type == "code"):
                _run_cell(client, unit, cell, index, number, timeout)
                cell.execution_count = number + 1
                cell.outputs = from_dict(sanitize.outputs(cell.outputs))
                for output in cell.outputs:
                    if output.output_type == "execute_result":
                        output.execution_count = number + 1
                on_cell()
    if not measured:
        _keep_measured(unit, made)


def _run_cell(client: NotebookClient, unit: Unit, cell: NotebookNode, index: int, number: int, timeout: float) -> None:
    try:
        client.execute_cell(cell, index)
    except CellTimeoutError:
        raise CellFailed(_message(unit, cell, number, f"was still running after {timeout:.0f} s.")) from None
    except DeadKernelError:
        raise CellFailed(_message(unit, cell, number, "ended the interpreter.")) from None
    except CellExecutionError as error:
        where = f"raised {error.ename}: {sanitize.text(error.evalue)}"
        raise CellFailed(_message(unit, cell, number, f'{where}\nIf it is meant to: ```python tags=["raises-exception"]')) from None
    raised = any(output.output_type == "error" for output in cell.outputs)
    if "raises-exception" in cell.metadata.get("tags", []) and not raised:
        raise CellFailed(_message(unit, cell, number, "is tagged raises-exception and raised nothing."))


def _message(unit: Unit, cell: NotebookNode, number: int, what: str) -> str:
    line = notebook.code_lines(unit)[number]
    first = next((text for text in cell.source.splitlines() if text.strip()), "")
    return f"{notebook.shown(unit.source)}:{line}: cell {number + 1} of {unit.short} ({first.strip()}) {what}"


def _keep_measured(unit: Unit, made: NotebookNode) -> None:
    """Put back the committed outputs of the cells whose numbers belong to one machine."""
    if not unit.notebook.exists():
        return
    committed = {cell.get("id"): cell for cell in notebook.code_cells(notebook.read(unit.notebook))}
    for cell in notebook.code_cells(made):
        before = committed.get(cell.id)
        if "measured" in cell.metadata.get("tags", []) and before is not None and before.execution_count is not None:
            cell.outputs = from_dict(sanitize.outputs(before.outputs))


class _OurKernels(KernelSpecManager):
    """Runs ``python3`` with the interpreter that runs us, whatever kernels the machine's user has installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())


class _OurKernelManager(OwnSockets, AsyncKernelManager):
    """Made by nbclient itself, which leaves a kernel running when it was given the manager from outside."""

    @default("kernel_spec_manager")
    def _our_kernels(self) -> KernelSpecManager:
        return _OurKernels(parent=self)


def _client(made: NotebookNode, timeout: float) -> NotebookClient:
    settings = {"timeout": int(timeout), "record_timing": False, "shutdown_kernel": "immediate"}
    return NotebookClient(made, kernel_name="python3", kernel_manager_class=_OurKernelManager, **settings)


def _environment(profile: str) -> dict[str, str]:
    """The environment of a kernel: no profile of the user, no colours, so that a recording is the same on every machine.

    The profile is the recording's own, in which :mod:`rabbitlab.lessons.figures` says how figures are drawn.
    """
    return {**os.environ, "IPYTHONDIR": profile, **QUIET_ENVIRONMENT}


def _progress(console: Console) -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("Recording {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("cells"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True)
