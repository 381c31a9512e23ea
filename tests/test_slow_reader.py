"""Between two cells a person reads: a connection left open then must outlive the pause ("a reader is slow").

``./lab test`` validates every notebook with a reader who pauses for 200 s (:data:`rabbitlab.everything.READER`).
"""

import socket
import subprocess
import sys

import nbformat
import pytest

from rabbitlab.nodes import HOST, NODES
from rabbitlab.units import ROOT
from tests.slow_reader import holds_a_connection


@pytest.mark.cluster
def test_an_open_connection_is_noticed():
    program = f"import socket; s = socket.create_connection(('{HOST}', {NODES[0].amqp})); print('open', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "open\n"
        assert holds_a_connection(process.pid)
        process.communicate("done\n")


def test_a_process_without_a_connection_holds_none():
    with socket.socket():
        assert not holds_a_connection(__import__("os").getpid())


KEEPS_ONE_OPEN = (
    "import pika\n"
    "connection = pika.BlockingConnection(pika.ConnectionParameters('localhost', heartbeat=2))\n"
    "channel = connection.channel()",
    "channel.queue_declare(queue='', exclusive=True); print('declared')",
)


@pytest.mark.cluster
def test_a_notebook_that_forgets_the_reader_is_found(tmp_path):
    """A connection kept open between two cells with a heartbeat of 2 s does not outlive a pause of 15 s; without it all is well."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code, execution_count=1) for code in KEEPS_ONE_OPEN])
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="declared\n")]
    path = tmp_path / "careless.ipynb"
    nbformat.write(notebook, path)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.slow_reader",
        "--nbval",
        "-p",
        "no:cacheprovider",
        "-c",
        "pyproject.toml",
        path,
    ]
    hurried, slow = (
        subprocess.run([*command, "--reader-pause", pause], cwd=ROOT, capture_output=True, text=True, timeout=120) for pause in ("0", "15")
    )
    assert hurried.returncode == 0, hurried.stdout
    assert slow.returncode == 1, slow.stdout
    assert "StreamLostError" in slow.stdout
