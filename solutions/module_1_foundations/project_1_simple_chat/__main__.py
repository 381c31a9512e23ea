"""The chat from the shell: ``python -m project_1_simple_chat hub`` in one terminal, ``python -m project_1_simple_chat ada`` in another.

This file is given; it calls what you write in hub.py and person.py.
"""

import sys

import pika

from . import hub, person


def main(name):
    """Be the hub, or the person called *name*, until Ctrl-C."""
    parameters = pika.ConnectionParameters("localhost")
    if name == "hub":
        print("The hub is open; Ctrl-C closes it.")
        hub.serve(parameters, idle=None)
    else:
        talk(parameters, name)


def talk(parameters, name):
    """Join, send each line that is typed, show what has come, and leave in the end."""
    person.join(parameters, name)
    print("Type a line and press Enter; an empty line shows what is new; Ctrl-D leaves.")
    try:
        while True:
            for who, text in person.read(parameters, name):
                print(f"{who}: {text}")
            text = input("> ")
            if text:
                person.say(parameters, name, text)
    except (EOFError, KeyboardInterrupt):
        person.leave(parameters, name)
        print("left")


if len(sys.argv) != 2:
    sys.exit("Say who you are: python -m project_1_simple_chat hub, or python -m project_1_simple_chat ada")
try:
    main(sys.argv[1])
except KeyboardInterrupt:
    print("closed")
