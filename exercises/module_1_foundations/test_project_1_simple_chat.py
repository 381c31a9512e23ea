"""Project 1: the shop-floor chat."""

import json
import socket

from pika.exceptions import AMQPConnectionError, NackError

from rabbitlab.grading import feedback

HINT = "./lab hint 1/project"
IDLE = 0.6  # seconds of silence after which the hub may go home; everything it is to do is there before it comes


def test_people_hear_each_other(attempt, answer):
    def morning(mine):
        p = attempt.parameters()
        mine.person.join(p, "ada")
        mine.person.join(p, "ben")
        mine.person.say(p, "ada", "the lamps are in")
        mine.person.say(p, "eva", "let me in")
        mine.person.say(p, "ben", "Grüße, café")
        sent = attempt.depth("chat.hub")
        handled = mine.hub.serve(p, idle=IDLE)
        waiting = attempt.depth("chat.hub") + attempt.unacked("chat.hub")
        heard = {name: mine.person.read(p, name) for name in ("ada", "ben")}
        return {"sent": sent, "handled": handled, "waiting": waiting, "heard": heard, "again": mine.person.read(p, "ada")}

    seen = answer.run(morning, within=8).value

    assert seen["sent"] == 5, feedback(
        saw=f"Two people joined and three spoke while no hub ran; then `chat.hub` held {_messages(seen['sent'])}.",
        rule="A queue keeps what is published to it, whether or not somebody consumes; each call is one message.",
        look="'What goes through the queues' in the brief; " + HINT,
    )
    assert seen["waiting"] == 0, feedback(
        saw=f"serve returned, and `chat.hub` still had {_messages(seen['waiting'])}, ready or unacknowledged.",
        rule="A message stays in its queue until it is acknowledged; what was delivered and not acknowledged will come again.",
        look="Lesson 1.2, 'Sign for it'; " + HINT,
    )
    odd = [line for name in ("ada", "ben") for line in seen["heard"][name] if not _is_pair(line)]
    assert not odd, feedback(
        saw=f"read returned a list with {str(odd[0])[:80]} in it, a {type(odd[0]).__name__}.",
        rule="RabbitMQ hands over bytes; what your program makes of them for its caller is your contract with the caller.",
        look="Returns: in the docstring of read",
    )
    lines = [("ada", "the lamps are in"), ("ben", "Grüße, café")]
    for name, joins in (("ada", ["ada", "ben"]), ("ben", ["ben"])):
        heard = [tuple(line) for line in seen["heard"][name]]
        assert heard == [("hub", f"{who} joined") for who in joins] + lines, feedback(
            saw=f"ada and ben joined, ada spoke, eva, who had not joined, spoke, and ben spoke. {name} read {_told(heard)}.",
            rule="The default exchange puts a message into the one queue that its routing key names, so each copy is a publish of its own.",
            look="The table 'What the hub does' in the brief; " + HINT,
        )
    assert seen["again"] == [], feedback(
        saw=f"ada read her inbox twice, and the second time it gave her {_told(seen['again'])}, as before.",
        rule="A message that was delivered and not acknowledged is ready again when the connection closes.",
        look="Lesson 1.2, 'Leave without signing'; " + HINT,
    )
    assert seen["handled"] == 5, feedback(
        saw=f"The hub emptied `chat.hub`, which held five messages, and serve returned {seen['handled']!r}.",
        rule="RabbitMQ does not report how much a consumer has done; who wants to know must count.",
        look="Returns: in the docstring of serve",
    )


def test_a_newcomer_gets_the_last_lines(attempt, answer):
    def late(mine):
        p = attempt.parameters()
        mine.person.join(p, "ada")
        for n in range(5):
            mine.person.say(p, "ada", f"line {n}")
        mine.person.join(p, "cem")
        mine.person.join(p, "cem")
        mine.hub.serve(p, last=2, idle=IDLE)
        return [tuple(line) for line in mine.person.read(p, "cem")]

    heard = answer.run(late, within=8).value

    assert heard == [("ada", "line 3"), ("ada", "line 4"), ("hub", "cem joined")], feedback(
        saw="ada said line 0 to line 4, then cem joined, twice; the hub was to tell a newcomer of the last 2 lines. cem read "
        f"{_told(heard)}.",
        rule="A queue holds what was published to it since it was there, and nothing earlier; what a newcomer is to know, "
        "somebody must keep.",
        look="The row 'join' of the table in the brief; " + HINT,
    )


def test_who_has_left_hears_no_more(attempt, answer):
    def evening(mine):
        p = attempt.parameters()
        mine.person.join(p, "ada")
        mine.person.join(p, "ben")
        mine.person.leave(p, "dora")
        mine.person.leave(p, "ben")
        mine.person.say(p, "ben", "one more thing")
        mine.person.say(p, "ada", "he is gone")
        mine.hub.serve(p, idle=IDLE)
        return {name: [tuple(line) for line in mine.person.read(p, name)] for name in ("ada", "ben")}

    heard = answer.run(evening, within=8).value

    assert heard["ben"] == [("hub", "ben joined")], feedback(
        saw=f"ben joined and left (so did dora, who had never joined); then he spoke, and ada spoke. ben read {_told(heard['ben'])}.",
        rule="A queue without a consumer fills as long as somebody publishes to it; RabbitMQ does not know that nobody will come back.",
        look="The row 'leave' of the table in the brief; " + HINT,
    )
    assert heard["ada"] == [("hub", "ada joined"), ("hub", "ben joined"), ("hub", "ben left"), ("ada", "he is gone")], feedback(
        saw=f"ben joined and left; then he spoke, and ada spoke. ada read {_told(heard['ada'])}.",
        rule="RabbitMQ passes on what is published, from anybody who may publish; who belongs to the chat is the hub's business.",
        look="The table 'What the hub does' in the brief; " + HINT,
    )


def test_nonsense_does_not_stop_the_hub(attempt, answer):
    nonsense = [
        b"\xff\xfe",
        "hello?",
        "[1, 2]",
        "null",
        {"kind": "join"},
        {"name": "ada"},
        {"kind": "say", "name": "ada"},
        {"kind": "dance", "name": "ada"},
    ]
    attempt.declare("chat.hub")
    attempt.declare("chat.inbox.ada")
    attempt.publish("chat.hub", {"kind": "join", "name": "ada"}, *nonsense, {"kind": "say", "name": "ada", "text": "still here"})

    def serve(mine):
        handled = mine.hub.serve(attempt.parameters(), idle=IDLE)
        return {"handled": handled, "waiting": attempt.depth("chat.hub") + attempt.unacked("chat.hub")}

    run = answer.run(serve, within=8, raises=(Exception,), so_far=lambda: "the hub was given messages that are not its own")
    heard = _inbox(attempt, "ada")

    assert run.error is None, feedback(
        saw=f"Between a join and a line we published {len(nonsense)} messages that are none of the chat's; the hub ended with "
        f"{type(run.error).__name__}: {str(run.error)[:120]}",
        rule="RabbitMQ does not read bodies. Anybody who may publish to a queue can put anything into it, and a consumer gets it all.",
        look="'A message that is no such JSON' in the docstring of serve; " + HINT,
    )
    assert run.value["waiting"] == 0, feedback(
        saw=f"The hub went on, and `chat.hub` still has {_messages(run.value['waiting'])}, ready or unacknowledged.",
        rule="A message that is never acknowledged comes again, to every hub that is started after this one.",
        look="Lesson 1.2, 'Sign for it'; " + HINT,
    )
    assert heard == [("hub", "ada joined"), ("ada", "still here")], feedback(
        saw=f"ada joined, {len(nonsense)} messages that are none of the chat's followed, then ada spoke. Her inbox has {_told(heard)}.",
        rule="A queue gives its messages in the order in which they came, good and bad; the bad ones are in the way until "
        "they are taken out.",
        look="'A message that is no such JSON' in the docstring of serve; " + HINT,
    )


def test_a_refused_line_stays_with_the_hub(attempt, answer):
    attempt.declare("chat.hub")
    attempt.declare("chat.inbox.ada")
    attempt.declare("chat.inbox.ben")
    attempt.policy("chat.inbox.ben", max_length=2, overflow="reject-publish")
    people = [{"kind": "join", "name": name} for name in ("ada", "ben")]
    attempt.publish("chat.hub", *people, *({"kind": "say", "name": "ada", "text": f"line {n}"} for n in range(3)))

    run = answer.run(lambda mine: mine.hub.serve(attempt.parameters(), idle=IDLE), within=8, raises=(NackError,))
    left = [json.loads(body).get("text") for body, _ in attempt.take("chat.hub")]
    heard = _inbox(attempt, "ben")

    assert "line 1" in left, feedback(
        saw=f"The inbox of ben holds two messages and refuses a third. He has {_told(heard)}; `chat.hub` has {_listed(left)}. Line 1 is in "
        "neither.",
        rule="A message that was acknowledged is gone. What a queue refuses is told to the publisher that asked for confirms, "
        "and to no other.",
        look="Lesson 1.2, 'Sign for it': two receipts, one waits for the other; " + HINT,
    )
    assert isinstance(run.error, NackError), feedback(
        saw="The inbox of ben refused line 1, and serve returned as if all were well.",
        rule="A refused publish raises NackError where confirms are on; a program that hides it tells nobody that a line was "
        "not delivered.",
        look="The docstring of serve, where it speaks of NackError",
    )
    assert left == ["line 1", "line 2"], feedback(
        saw=f"The inbox of ben refused line 1. Then `chat.hub` held {_listed(left)}.",
        rule="What was acknowledged is gone; what was delivered and not acknowledged is ready again once the connection is closed.",
        look="Lesson 1.2, the table at the end; " + HINT,
    )


def test_a_lost_connection_loses_no_line(attempt, answer):
    said = [f"line {n}" for n in range(26)]
    for queue in ("chat.hub", "chat.inbox.ada", "chat.inbox.ben"):
        attempt.declare(queue)
    people = [{"kind": "join", "name": name} for name in ("ada", "ben")]
    attempt.publish("chat.hub", *people, *({"kind": "say", "name": "ada", "text": text} for text in said[:20]))

    hub = answer.start(lambda mine: mine.hub.serve(attempt.parameters(), idle=None), within=40)
    attempt.wait_until(lambda: attempt.depth("chat.inbox.ben") > 3, what="the first lines in the inbox of ben")
    attempt.close_connections()
    for text in said[20:]:  # more lost connections than may follow each other, with a line after each
        attempt.publish("chat.hub", {"kind": "say", "name": "ben", "text": text})
        attempt.wait_until(lambda: _done(attempt), what="the hub to take and acknowledge the next line")
        attempt.close_connections()
    hub.kill()

    for name in ("ada", "ben"):
        heard = [text for who, text in _inbox(attempt, name) if who != "hub"]
        missing = [text for text in said if text not in heard]
        assert not missing, feedback(
            saw=f"While the hub worked, RabbitMQ closed its connection now and then. Of 26 lines, {len(missing)} never came to "
            f"{name}, first {missing[0]}.",
            rule="A closed connection takes nothing with it that was not acknowledged: it is ready again. What a program knew "
            "is its own to keep.",
            look="Lesson 1.5, 'Send again what was not confirmed'; " + HINT,
        )
        assert list(dict.fromkeys(heard)) == said, feedback(
            saw=f"While the hub worked, RabbitMQ closed its connection now and then. All lines came to {name}, but not in the order "
            "in which they were said.",
            rule="What was not acknowledged goes back to its place in the queue; one consumer that takes and publishes in "
            "turn keeps the order.",
            look="Lesson 1.4, 'Stop in the middle'; " + HINT,
        )


def test_the_hub_gives_up_where_nobody_answers(attempt, answer):
    def knock(mine):
        return mine.hub.serve(attempt.parameters(port=_nobody_listens()), idle=IDLE)

    run = answer.run(knock, within=6, raises=(AMQPConnectionError,), so_far=lambda: "nobody listens at the port that it was given")

    assert run.error is not None, feedback(
        saw="Nobody listens at the port that serve was given, and it returned as if it had served.",
        rule="pika raises AMQPConnectionError when it cannot connect; who catches it and says nothing leaves the caller in the dark.",
        look="The last sentence of the docstring of serve, before Args:",
    )


def _done(attempt) -> bool:
    """Whether the hub has nothing left to do."""
    return attempt.depth("chat.hub") == 0 and attempt.unacked("chat.hub") == 0


def _is_pair(line) -> bool:
    return isinstance(line, tuple | list) and len(line) == 2 and all(isinstance(part, str) for part in line)


def _inbox(attempt, name: str) -> list[tuple]:
    """What lies in the inbox of *name*, read as the brief says that it is written; anything else as it is."""
    lines = []
    for body, _ in attempt.take(f"chat.inbox.{name}"):
        try:
            line = json.loads(body)
            lines.append((line["name"], line["text"]))
        except (ValueError, TypeError, KeyError):
            lines.append(("?", repr(body)[:60]))
    return lines


def _nobody_listens() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _told(lines: list) -> str:
    """Lines of the chat in words."""
    shown = "; ".join(f"{who}: {text}" for who, text in lines[:6])
    return (f"'{shown}'" if shown else "nothing") + (f" and {len(lines) - 6} more" if len(lines) > 6 else "")


def _listed(texts: list) -> str:
    return ", ".join(str(text) for text in texts) or "nothing"


def _messages(number: int) -> str:
    return f"{number} message{'' if number == 1 else 's'}" if number else "no message"
