"""A program that consumes with ResilientConsumer, for tests that stop and kill it: ``python -m tests.patterns_worker '{"urls": ...}'``.

It notes in a ledger what its handler does. A body ``kill`` ends the process as a crash does; ``hold`` waits until the file *go* exists.
"""

import json
import os
import sys
import threading
from pathlib import Path

from rabbitlab.ledger import Ledger
from rabbitlab.patterns.consumer import ResilientConsumer
from rabbitlab.patterns.retries import Retries


def main() -> None:
    options = json.loads(sys.argv[1])
    ledger = Ledger(options["ledger"], sync=False)
    go, ticking = Path(options["go"]), threading.Event()

    def handle(message):
        ledger.start(message.message_id)
        if message.body == b"kill":
            os._exit(9)
        while message.body == b"hold" and not go.exists():
            ticking.wait(0.02)
        ticking.wait(options.get("work", 0))
        ledger.effect(message.message_id)

    retries = Retries(**options["retries"])
    consumer = ResilientConsumer(options["urls"], "orders", handle, name="worker", retries=retries, **options.get("more", {}))
    consumer.stop_on_signals(timeout=options.get("timeout", 10))
    consumer.run()
    print("ended", flush=True)


if __name__ == "__main__":
    main()
