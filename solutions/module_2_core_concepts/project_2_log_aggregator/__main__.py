"""The log aggregator from the shell: ``python -m project_2_log_aggregator service till``, and ``alerts`` and ``archive`` beside it.

This file is given; it calls what you write in the others.
"""

import sys

import pika

from . import alerts, archive, service, topology

USAGE = "Say what to do: `service NAME` (log what you type, as `error the drawer is stuck`), `alerts` or `archive`"


def typed():
    """Level and text of each line that is typed, until Ctrl-D."""
    for line in sys.stdin:
        level, _, text = line.strip().partition(" ")
        if level not in service.LEVELS:
            print(f"A line begins with its level: {', '.join(service.LEVELS)}")
        else:
            yield level, text


def main(what, *name):
    """Be a service called *name*, or the one who watches for alerts, or the one who reads the archive."""
    parameters = pika.ConnectionParameters("localhost")
    topology.declare(parameters)
    if what == "service":
        print("logged:", service.log(parameters, name[0], typed()))
    elif what == "alerts":
        print("Watching for alerts; Ctrl-C ends it.")
        alerts.watch(parameters, notify=lambda line: print(f"{line['source']} {line['level']}: {line['text']}"), idle=None)
    else:
        for line in archive.read(parameters):
            print(f"{line['source']} {line['level']}: {line['text']}")


if (sys.argv[1:2], len(sys.argv)) not in ((["service"], 3), (["alerts"], 2), (["archive"], 2)):
    sys.exit(USAGE)
try:
    main(*sys.argv[1:])
except KeyboardInterrupt:
    print("ended")
