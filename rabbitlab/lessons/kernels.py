"""How the kernels of recordings and validations are spoken to: by sockets that are files of their own.

A kernel over TCP is told five ports that were free a moment ago. Where several start at once one of them is sometimes taken by then,
and the kernel dies: "Kernel died before replying to kernel_info", once in a few hundred starts.
"""

import os
import shutil
import tempfile

from jupyter_client.connect import ConnectionFileMixin
from jupyter_client.manager import KernelManager
from traitlets import Unicode, default


class OwnSockets(ConnectionFileMixin):
    """To mix into a kernel manager: its kernel's sockets lie in a folder that nobody else uses, gone with the kernel."""

    folder = Unicode(help="where connection file and sockets lie")

    @default("folder")
    def _new_folder(self) -> str:
        return tempfile.mkdtemp(prefix="kernel-")

    @default("transport")
    def _files_where_there_are_such_sockets(self) -> str:
        return "tcp" if os.name == "nt" else "ipc"

    @default("connection_file")
    def _in_the_folder(self) -> str:
        return os.path.join(self.folder, "kernel.json")

    def cleanup_connection_file(self) -> None:
        super().cleanup_connection_file()
        shutil.rmtree(self.folder, ignore_errors=True)


class PrivateKernelManager(OwnSockets, KernelManager):
    """What nbval starts kernels with, see conftest.py."""
