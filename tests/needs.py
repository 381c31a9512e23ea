"""What a test needs and a machine may not have: a profile, a browser."""

import os
from typing import NoReturn

import pytest


def missing(mend: str) -> NoReturn:
    """Skip, and say with *mend* what brings it; in CI, where everything has to be there, fail."""
    if os.environ.get("CI"):
        pytest.fail(mend)
    pytest.skip(mend)
