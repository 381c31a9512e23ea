"""What all tests of the package share: the cluster, when one runs."""

import os

import pytest

from rabbitlab import cluster


@pytest.hookimpl(trylast=True)  # what was deselected needs nothing
def pytest_collection_modifyitems(config, items):
    """Skip what needs a cluster where none runs, and say what starts it; in CI a missing cluster is a failure."""
    needing = [item for item in items if item.get_closest_marker("cluster")]
    if not needing or cluster.is_running():
        return
    if os.environ.get("CI"):
        raise pytest.UsageError(cluster.NOT_RUNNING)
    for item in needing:
        item.add_marker(pytest.mark.skip(reason=cluster.NOT_RUNNING))
