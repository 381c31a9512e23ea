"""The pytest plugin that grades: ``pytest exercises/<module>/test_<stem>.py`` marks ``<stem>.py`` beside it.

It is loaded in every pytest run of the course; where no grader is collected it does nothing, and imports nothing but this page.
A grader is a file ``test_<stem>.py`` in a folder of ``exercises``. Its checks run in order until one fails.
"""

from pathlib import Path

import pytest


def pytest_addoption(parser):
    """Options of a grading run."""
    group = parser.getgroup("rabbitlab", "grading")
    group.addoption("--answer", metavar="PATH", help="mark this file or package in place of the one beside the grader")
    group.addoption("--results", metavar="FILE", help="write the results there as JSON")


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    """Take over the screen when all that is asked for are graders."""
    asked = [config.invocation_params.dir / str(a).partition("::")[0] for a in config.args]
    if config.args and all(_asks_for_graders(path) for path in asked) and not hasattr(config, "workerinput"):
        _grading(config).take_over_screen()


def pytest_ignore_collect(collection_path):
    """The backup of a project holds no tests of ours."""
    return True if collection_path.name.endswith((".bak", ".bak.py")) else None


def pytest_collection_finish(session):
    """Write down every check of every grader, so that those never reached can be named."""
    for item in session.items:
        if is_grader(item.path):
            _grading(session.config).expect(item)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """After the first check that fails, those of the same grader are not run."""
    if is_grader(item.path) and _grading(item.config).is_over(item):
        pytest.skip("not reached")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """The feedback in place of a traceback."""
    report = yield
    if is_grader(item.path):
        _grading(item.config).tell(item, call, report)
    return report


def is_grader(path: Path) -> bool:
    """True for ``exercises/<module>/test_<stem>.py``."""
    return path.name.startswith("test_") and path.suffix == ".py" and path.parent.parent.name == "exercises"


@pytest.fixture
def attempt(request):
    """The vhost and user of this run; empty at the start of each check."""
    with _grading(request.config).attempt_for_check(request.node) as attempt:
        yield attempt


@pytest.fixture
def answer(request, attempt):
    """The learner's answer, to be run in a process of its own."""
    return _grading(request.config).answer(request.node, attempt)


def _asks_for_graders(path: Path) -> bool:
    """A grader, the folder of a module's graders, or all of them."""
    return is_grader(path) or (path.is_dir() and "exercises" in (path.name, path.parent.name))


def _grading(config):
    """The grading run that belongs to this pytest run; made at the first need."""
    found = config.pluginmanager.get_plugin("rabbitlab-grading")
    if found is None:
        from rabbitlab.grading.session import Grading

        found = Grading(config)
        config.pluginmanager.register(found, "rabbitlab-grading")
    return found
