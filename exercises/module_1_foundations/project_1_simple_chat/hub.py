"""The hub: takes every line from the queue ``chat.hub`` and puts a copy into the inbox of everybody who has joined."""


def serve(parameters, last=3, idle=1.0):
    """Handle the messages in ``chat.hub``, oldest first, until none has come for *idle* seconds.

    What a message asks for, and what goes into the inboxes, is in the brief. A message that is no such JSON is thrown away. Each other
    is acknowledged when every inbox that must have a copy has confirmed it, and no sooner. When an inbox refuses a line
    (``pika.exceptions.NackError``), let the exception through; the message is then still in ``chat.hub``.

    When the connection is lost, open another and go on, knowing what you knew: who has joined, and the last lines. Then a line may come
    twice; none may be missing. Give up, with pika's exception, at the fifth lost connection in a row without a message between them, and
    at once when the login is refused. Whether to pause between two attempts is yours to decide.

    Args:
        parameters: The ``pika.ConnectionParameters`` to connect with.
        last: How many lines a newcomer is told of.
        idle: Seconds without a message after which to return; None to go on for ever.

    Returns:
        The number of messages that were handled, nonsense included.
    """
    # TODO: one message first: take it, read the JSON, put the copies, acknowledge. Then all; then the connection that is lost.
    raise NotImplementedError
