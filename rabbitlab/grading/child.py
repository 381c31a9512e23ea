"""The process in which an answer runs: what it may use, and what it reports about how it ended.

Everything here happens after the fork. The report goes through a pipe as a pickled dictionary with a ``kind``:
``value``, ``verdict``, ``error``, ``exit``, ``syntax`` or ``unpicklable``.
"""

import contextlib
import ctypes
import faulthandler
import gc
import importlib.util
import linecache
import logging
import os
import pickle
import random
import resource
import signal
import sys
import traceback
from pathlib import Path

from rabbitlab.grading.verdict import Verdict

GIGABYTE = 2**30
PR_SET_PDEATHSIG = 1
GRACE = 30  # seconds after the deadline, stalls among them, at which the process ends by itself, should nobody be there to end it


def live(answer: Path, name: str, fn, raises: tuple, within: float, output: int, report: int, place: int):
    """Run ``fn(mine)`` in this process and never return.

    Args:
        answer: The learner's file, or the folder of their package.
        name: Under which it is imported.
        fn: Called with the imported module.
        raises: Exceptions that are an answer, too.
        within: Seconds.
        output: File descriptor for everything that is printed.
        report: File descriptor for the report.
        place: File descriptor to which SIGUSR1 writes where the program is.
    """
    try:
        _settle_in(answer, within, output, place)
        message = _outcome(answer, name, fn, raises)
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        _send(report, message)
    finally:
        os._exit(0)


def _settle_in(answer: Path, within: float, output: int, place: int) -> None:
    os.setsid()  # a group of its own, to be ended as a whole
    _end_with_the_grader()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, within + GRACE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):  # not every system lets itself be limited
        resource.setrlimit(resource.RLIMIT_AS, (4 * GIGABYTE, resource.RLIM_INFINITY))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - lives as long as the process
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", errors="replace", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", encoding="utf-8", errors="replace", buffering=1, closefd=False)  # noqa: SIM115
    faulthandler.register(signal.SIGUSR1, file=place, all_threads=True)
    logging.getLogger().handlers.clear()  # pytest's own, which would swallow what pika logs
    random.seed()  # a fork inherits the state: two workers would draw the same numbers
    gc.disable()  # a forgotten connection stays open until the process ends, and not until some collection
    sys.dont_write_bytecode = True
    sys.argv = [str(answer)]
    sys.path.insert(0, str(answer.parent))


def _end_with_the_grader() -> None:
    """Linux kills this process when the grader's is killed; elsewhere the timer ends it."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _outcome(answer: Path, name: str, fn, raises: tuple) -> dict:
    loading = True
    mine = None
    try:
        mine = load(answer, name)
        loading = False
        value = fn(mine)
    except Verdict as verdict:  # from a question that the grader's own function asked in here
        return {"kind": "verdict", "verdict": verdict}
    except SystemExit as error:
        return {"kind": "exit", "status": error.code, **_where(error, answer)}
    except SyntaxError as error:
        return _syntax(error, answer)
    except BaseException as error:
        report = {"kind": "error", "loading": loading, **_told(error, answer, mine)}
        return {**report, "error": _portable(error, raises)} if isinstance(error, raises) else {**report, "hides": _hidden(error, raises)}
    try:
        return {"kind": "value", "value": pickle.dumps(value)}
    except Exception:
        return {"kind": "unpicklable", "type": type(value).__name__}


def load(answer: Path, name: str):
    """Import the learner's file or package under *name*, from its source and never from a compiled copy."""
    if answer.is_dir():
        spec = importlib.util.spec_from_file_location(name, answer / "__init__.py", submodule_search_locations=[str(answer)])
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module
    spec = importlib.util.spec_from_file_location(name, answer)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    exec(compile(answer.read_bytes(), str(answer), "exec"), module.__dict__)
    return module


def _told(error: BaseException, answer: Path, mine) -> dict:
    """What there is to say about an exception, in words and numbers that any process understands."""
    names = [c.__name__ for c in type(error).__mro__]
    missing = error.name if isinstance(error, AttributeError) and mine is not None and error.obj is mine else None
    told = {"type": type(error).__name__, "names": names, "text": _text(error), "missing": missing}
    for attribute in ("reply_code", "reply_text"):
        told[attribute] = getattr(error, attribute, None)
    return {**told, **_where(error, answer)}


def _hidden(error: BaseException, raises: tuple) -> str:
    """The name of the exception among *raises* that came first, and that *error* took the place of; empty where none did."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error = error.__cause__ or error.__context__
        if isinstance(error, raises):
            owner = "pika's own " if type(error).__module__.partition(".")[0] == "pika" else ""
            return f"{owner}{type(error).__name__}"
    return ""


def _text(error: BaseException) -> str:
    """What an exception says; of a value that pika cannot write, the value, and not the bytes of all that it had written before."""
    if type(error).__name__ == "UnsupportedAMQPFieldException":
        return repr(error.args[-1])
    return str(error) or _arguments(error)


def _arguments(error: BaseException) -> str:
    """pika's connection errors say what happened in the exceptions they carry, not in a text."""
    inner = error.__cause__ or next((a for a in error.args if isinstance(a, BaseException)), None)
    return str(inner) if inner is not None and str(inner) else ", ".join(repr(a) for a in error.args)


def _where(error: BaseException, answer: Path) -> dict:
    """The learner's own line at which *error* passed: the innermost of their frames."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if is_inside(frame.f_code.co_filename, answer):
            source = linecache.getline(frame.f_code.co_filename, line).strip()
            return {"file": frame.f_code.co_filename, "line": line, "source": source, "function": frame.f_code.co_name}
    return {"file": None, "line": None, "source": "", "function": None}


def is_inside(file: str, answer: Path) -> bool:
    """True when *file* is the answer, or belongs to its package."""
    return file == str(answer) or file.startswith(f"{answer}{os.sep}")


def _syntax(error: SyntaxError, answer: Path) -> dict:
    file, line = error.filename or str(answer), error.lineno or 0
    source = (error.text or linecache.getline(file, line)).strip()
    return {"kind": "syntax", "type": type(error).__name__, "text": error.msg, "file": file, "line": line, "source": source}


def _portable(error: BaseException, raises: tuple) -> tuple:
    """(pickled exception or None, its class among *raises*, its arguments as text): some exceptions cannot be pickled."""
    expected = next(c for c in raises if isinstance(error, c))
    try:
        whole = pickle.dumps(error)
        pickle.loads(whole)
    except Exception:
        whole = None
    return whole, expected, [str(a) for a in error.args]


def _send(report: int, message: dict) -> None:
    data = pickle.dumps(message)
    data = len(data).to_bytes(8, "big") + data
    while data:
        data = data[os.write(report, data) :]
