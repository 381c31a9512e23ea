"""The task processor from the shell: ``python -m project_3_task_processor desk``, and ``printer`` and ``office BOOK`` beside it.

This file is given; it calls what you write in the others.
"""

import sys
import time
import uuid

import pika

from . import desk, office, printer, topology

USAGE = "Say what to do: `desk` (order what you type, as `now Ada 79.90`), `printer`, or `office BOOK` (enter the results in that file)"


def typed():
    """An invoice for each line that is typed, until Ctrl-D."""
    for line in sys.stdin:
        urgency, _, rest = line.strip().partition(" ")
        customer, _, total = rest.rpartition(" ")
        if urgency not in desk.PRIORITIES or not customer:
            print(f"Type how urgent it is ({', '.join(desk.PRIORITIES)}), the customer and the total: now Ada 79.90")
        else:
            yield {"id": str(uuid.uuid4()), "customer": customer, "total": total, "urgency": urgency}


def print_slowly(invoice):
    """An old printer, which jams at each name of more than ten letters."""
    time.sleep(2)
    if len(invoice["customer"]) > 10:
        print(f"JAM   {invoice['customer']}")
        raise printer.Jam(f"{invoice['customer']} does not fit on the page")
    print(f"{invoice['total']:>8} {invoice['customer']}, {invoice['urgency']}")


def main(what, *book):
    """Be the desk, a printer, or the office."""
    parameters = pika.ConnectionParameters("localhost")
    topology.declare(parameters)
    if what == "desk":
        print("ordered:", desk.order(parameters, typed()))
    elif what == "printer":
        print("Waiting for invoices; Ctrl-C ends it.")
        printer.work(parameters, print_slowly, idle=None)
    else:
        print("Waiting for results; Ctrl-C ends it.")
        office.enter(parameters, book[0], idle=None)


if (sys.argv[1:2], len(sys.argv)) not in ((["desk"], 2), (["printer"], 2), (["office"], 3)):
    sys.exit(USAGE)
try:
    main(*sys.argv[1:])
except KeyboardInterrupt:
    print("ended")
except pika.exceptions.AMQPError as error:
    sys.exit(f"ended: {error!r}. Start it again; it will go on where it was.")
