"""What every run of pytest needs, and how notebooks are validated: ``pytest --nbval`` alone does it right.

Plain ``pytest`` needs no cluster. Graders are run with plugin autoload off, so nothing here may assume that nbval or xdist is loaded.
"""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent
CELL_TIMEOUT = 60  # seconds; nbval's own default is 2,000
OUTPUT_TIMEOUT = 20  # seconds to wait for one message of a kernel; nbval says 5, which a busy machine exceeds
_turn = None  # of the notebook that is being run
# Pictures: of the broker, drawn from text/vnd.mermaid, which is compared; plots, recorded as SVG and drawn as PNG by default.
NOT_COMPARED = ("image/svg+xml", "image/png")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Set what nbval and xdist should do, before they look."""
    if not _validates_notebooks(config):
        return
    config.option.nbval_sanitize_with = config.option.nbval_sanitize_with or str(ROOT / "jupyter" / "nbval_sanitize.cfg")
    config.option.nbval_cell_timeout = min(config.option.nbval_cell_timeout, CELL_TIMEOUT)
    config.option.nbval_current_env = not config.option.nbval_kernel_name
    if getattr(config.option, "dist", "no") in ("load", "worksteal"):
        config.option.dist = "loadfile"  # or the cells of one notebook go to different kernels
    import nbval.kernel

    from rabbitlab.lessons import kernels

    nbval.kernel.KernelManager = kernels.PrivateKernelManager  # nbval's own makes kernels over TCP, which may lose a race for a port


def pytest_sessionstart(session):
    """End in one sentence where notebooks would have to run and no broker answers."""
    config = session.config
    if not _validates_notebooks(config) or config.option.collectonly or hasattr(config, "workerinput"):
        return
    from rabbitlab import cluster

    if not cluster.is_running():
        raise pytest.UsageError(f"Notebooks are validated on the live cluster. {cluster.NOT_RUNNING}")


def pytest_collection_finish(session):
    """Where notebooks plot: see that matplotlib knows the fonts, or the first figure says that it looks for them."""
    if any("matplotlib" in item.cell.source for item in session.items if _is_cell(item)) and not session.config.option.collectonly:
        from rabbitlab.lessons import figures

        figures.prepare()


def pytest_itemcollected(item):
    """Prepare each cell of a notebook as it is collected."""
    if not _is_cell(item):
        return
    item.output_timeout = OUTPUT_TIMEOUT
    item.parent.skip_compare = tuple(dict.fromkeys((*item.parent.skip_compare, *NOT_COMPARED)))
    item.parent.get_kernel_message = _RedrawnDisplays(item.parent)
    if "measured" in item.cell.metadata.get("tags", []):
        item.options["check"] = False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """A notebook has its turn on the cluster from its first cell to its last; its kernel inherits it."""
    global _turn
    if not _is_cell(item):
        return (yield)
    from rabbitlab import healing, lock
    from rabbitlab.errors import Mendable

    if _turn is None:
        _turn = lock.turn(item.path)
        _turn.__enter__()
        try:
            healing.before_use(lambda sentence: print(sentence, file=sys.stderr, flush=True))
        except Mendable as mendable:
            pytest.exit(str(mendable), returncode=1)
    try:
        return (yield)
    finally:
        if nextitem is None or nextitem.path != item.path:
            ended, _turn = _turn, None
            ended.__exit__(None, None, None)


def pytest_runtest_setup(item):
    """A cell that was never recorded, or that can no longer run, fails; nbval would let both pass."""
    if not _is_cell(item):
        return
    if item.parent.timed_out:
        pytest.fail("Not run: an earlier cell of this notebook took too long.", pytrace=False)
    if item.cell.execution_count is None:
        path = item.path.relative_to(ROOT) if item.path.is_relative_to(ROOT) else item.path
        pytest.fail(f"{path}: this cell was never recorded. Record it: ./lab lessons record {path.parent.name}/{path.stem}", pytrace=False)


class _RedrawnDisplays:
    """A kernel's messages, with each picture as it was last redrawn, as a recording has it. nbval knows no ``update_display_data``."""

    def __init__(self, notebook):
        self._next_message = type(notebook).get_kernel_message.__get__(notebook)
        self._shown = {}

    def __call__(self, timeout=None, stream="iopub"):
        from nbformat import NotebookNode

        while True:
            message = self._next_message(timeout=timeout, stream=stream)
            kind, content = message["msg_type"], message["content"]
            display = content.get("transient", {}).get("display_id")
            if kind == "update_display_data":
                for data in self._shown.get(display, []):
                    data.clear()
                    data.update(content["data"])
                continue
            if kind == "display_data" and display:
                content["data"] = NotebookNode(content["data"])  # nbval copies a plain dict, and would keep the first picture
                self._shown.setdefault(display, []).append(content["data"])
            return message


def _validates_notebooks(config) -> bool:
    return bool(getattr(config.option, "nbval", False) or getattr(config.option, "nbval_lax", False))


def _is_cell(item) -> bool:
    return type(item).__name__ == "IPyNbCell"
