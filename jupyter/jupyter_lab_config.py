"""JupyterLab as the course opens it: `jupyter lab --config=jupyter/jupyter_lab_config.py`, which ./lab start does.

It neither reads nor changes the settings and workspaces that you have for other work, and asks no other host for anything.
"""

from pathlib import Path

c = get_config()  # noqa: F821  jupyter gives it

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".lab" / "jupyter"

c.ServerApp.root_dir = str(ROOT)
c.ServerApp.ip = "127.0.0.1"
c.ServerApp.open_browser = False
c.LabApp.default_url = "/lab/tree/notebooks/welcome.ipynb"

# overrides.json: pages open rendered, no pop-up asks about news, and a notebook that was only looked at is not saved.
c.LabApp.app_settings_dir = str(ROOT / "jupyter" / "settings")
c.LabApp.user_settings_dir = str(STATE / "settings")
c.LabApp.workspaces_dir = str(STATE / "workspaces")

c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"
# Pages are read here and run as notebooks; jupytext would open them as notebooks of their own.
c.ServerApp.jpserver_extensions = {"jupyterlab_jupytext": False}
