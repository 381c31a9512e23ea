"""The browser that the site's tests drive."""

import shutil
import sys

from rabbitlab import engine
from rabbitlab.errors import Mendable

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def path() -> str | None:
    """Where Chromium is, or None."""
    return next((found for name in NAMES if (found := shutil.which(name))), None) or _of_playwright()


def ensure(yes: bool = False) -> str:
    """Find Chromium; on Debian and Ubuntu install it, where that is allowed.

    Args:
        yes: Install without asking.

    Returns:
        The program's path.

    Raises:
        Mendable: when there is none, with the command that gets one.
    """
    if not path():
        engine.apt_install(
            ["chromium"], why="the browser tests drive it", yes=yes, otherwise=f"{sys.executable} -m playwright install chromium"
        )
    found = path()
    if not found:
        raise Mendable(f"The browser tests need Chromium. Get it with: {sys.executable} -m playwright install chromium")
    return found


def _of_playwright() -> str | None:
    from pathlib import Path

    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None
