"""What RabbitMQ means by the errors that an answer may meet: the rule, and the lesson that shows it."""

EXIT = {
    "rule": "A function that ends the interpreter ends its caller too; when the process is gone, its connections close and what it had "
    "not acknowledged is ready again.",
    "look": "sys.exit, exit, quit or os._exit in your program, and what you wanted to end with it.",
}

# (exception's name, reply code or None, text that must occur or "", rule, where to look); the first that fits
ERRORS = (
    (
        "ChannelClosedByBroker",
        404,
        "exchange",
        "Only the default exchange, whose name is the empty string, knows queues by their name; "
        "any other exchange must be declared before it is published to.",
        "Lesson 1.4: exchange and routing_key",
    ),
    (
        "ChannelClosedByBroker",
        404,
        "queue",
        "A queue must be declared before it is read from, and is looked up by its exact name.",
        "Lesson 1.4: queue_declare",
    ),
    (
        "ChannelClosedByBroker",
        406,
        "queue limit",
        "The administrator limited how many queues this vhost may hold; RabbitMQ refuses one "
        "more. A queue is made once and used for many messages.",
        "Where, and how often, your program declares a queue",
    ),
    (
        "ChannelClosedByBroker",
        406,
        "unknown delivery tag",
        "A delivery can be acknowledged once, on the channel it came by.",
        "Each place that acknowledges: which may run twice, or on another channel?",
    ),
    (
        "ChannelClosedByBroker",
        406,
        "inequivalent",
        "Declaring a queue that is there asserts its properties: they must be the ones it was made with.",
        "The arguments of your declare, beside those the brief names",
    ),
    (
        "ChannelClosedByBroker",
        406,
        "message size",
        "RabbitMQ refuses a message above its size limit, 16 MiB by default.",
        "What your program puts into one body",
    ),
    ("ChannelClosedByBroker", 406, "", "406 PRECONDITION_FAILED: what was asked contradicts what is there.", "The text after the number"),
    ("ChannelClosedByBroker", 403, "", "403 ACCESS_REFUSED: this user may not do that here.", "The name of the queue or exchange you use"),
    (
        "ChannelClosedByBroker",
        405,
        "",
        "An exclusive queue belongs to the connection that declared it; others are refused.",
        "exclusive= in your declare, and the connection you use",
    ),
    (
        "ChannelClosedByBroker",
        None,
        "",
        "RabbitMQ closes the channel after an error on it; the connection stays open.",
        "Lesson 1.5: channel errors",
    ),
    (
        "ConnectionClosedByBroker",
        541,
        "",
        "RabbitMQ 4.3 refuses a queue that is neither durable nor exclusive, and closes the connection.",
        "Lesson 1.4: durable=True",
    ),
    (
        "ConnectionClosedByBroker",
        530,
        "limit",
        "The number of connections (or channels) of a user may be limited; one more is refused. A connection is opened once and kept.",
        "Where, and how often, your program connects",
    ),
    (
        "ProbableAccessDeniedError",
        None,
        "",
        "A user reaches the vhosts it was given rights on, and no other; trying again changes nothing.",
        "virtual_host in the parameters you use",
    ),
    (
        "ConnectionClosedByBroker",
        530,
        "",
        "530 NOT_ALLOWED: this user may not do that in this vhost, and the connection is closed.",
        "The parameters you connect with",
    ),
    (
        "ConnectionClosedByBroker",
        320,
        "",
        "An administrator, or a node that shuts down, may close a connection at any time; who wants to go on opens a new one.",
        "Lesson 1.5: when the connection closes",
    ),
    (
        "ConnectionClosedByBroker",
        None,
        "",
        "Some errors close the whole connection, and every channel on it.",
        "Lesson 1.5: when the connection closes",
    ),
    (
        "ProbableAuthenticationError",
        None,
        "",
        "RabbitMQ refused user and password; trying again with the same ones changes nothing.",
        "The parameters you connect with: they should be the ones you were given",
    ),
    (
        "UnroutableError",
        None,
        "",
        "A mandatory message that fits no queue comes back: 312 NO_ROUTE.",
        "exchange and routing_key, and whether the queue is there",
    ),
    (
        "NackError",
        None,
        "",
        "RabbitMQ refused the message, for instance because the queue is full and rejects; the channel stays usable.",
        "What the queue's limits are, and what you do with a message that is refused",
    ),
    (
        "StreamLostError",
        None,
        "",
        "A connection whose client is silent for longer than two heartbeats is given up by RabbitMQ; the next use finds it lost.",
        "Lesson 1.5: heartbeats",
    ),
    (
        "ChannelWrongStateError",
        None,
        "",
        "A channel that was closed, by you or by an error on it, is of no more use; open another.",
        "What closed it: an error before, or a with block that had ended",
    ),
    (
        "ConnectionWrongStateError",
        None,
        "",
        "A connection that was closed is of no more use; open another.",
        "What closed it: an error before, or a with block that had ended",
    ),
    ("ConnectionBlockedTimeout", None, "", "RabbitMQ blocks publishers while it is short of memory or disk.", "./lab status"),
    ("AMQPConnectionError", None, "", "No node answered at this host and port.", "host and port in the parameters you use; ./lab status"),
    ("DuplicateConsumerTag", None, "", "A consumer tag names one consumer on its channel.", "consumer_tag in your basic_consume"),
    ("AMQPError", None, "", "", ""),
    ("EOFError", None, "", "A program that is graded has no keyboard: input() finds nothing.", "input() in your program"),
    (
        "TypeError",
        None,
        "JSON serializable",
        "json.dumps takes dicts, lists, text, numbers, True, False and None.",
        "What you hand to json.dumps",
    ),
    (
        "TypeError",
        None,
        "body",
        "A body is bytes (pika encodes a str); anything else must be turned into text first.",
        "Lesson 1.4: the body",
    ),
    (
        "ModuleNotFoundError",
        None,
        "",
        "The course's environment holds pika and the standard library.",
        "The import, and the name of the module",
    ),
)

WAITING = (
    (
        "start_consuming",
        "start_consuming() returns when its consumers are cancelled, by stop_consuming() or by the broker; an empty queue does not end it.",
        "What in your callback stops it, and when",
    ),
    (".consume(", "consume() waits for the next message for ever, unless it is given an inactivity_timeout.", "What ends your loop"),
    (
        "basic_get",
        "basic_get() returns at once, with (None, None, None) from an empty queue; a loop around it must look for that.",
        "What ends your loop",
    ),
    (
        "sleep",
        "A program that sleeps does no input or output: no message comes or goes meanwhile.",
        "How long your program waits, and for what",
    ),
    (
        "BlockingConnection(",
        "BlockingConnection returns when RabbitMQ has accepted the connection; it tries as often as the parameters say.",
        "The loop around your connect, and what ends it",
    ),
    ("basic_publish", "After confirm_delivery() each basic_publish waits for RabbitMQ's receipt.", "The loop around it, and what ends it"),
)


def of_error(message: dict) -> tuple[str, str]:
    """(rule, where to look) for an exception as the child told it; two empty texts where there is no rule to tell."""
    text = f"{message['text']} {message.get('reply_text') or ''}"
    for name, code, part, rule, look in ERRORS:
        if name in message["names"] and code in (None, message.get("reply_code")) and part in text:
            return rule, look
    return "", ""


def of_waiting(source: str) -> tuple[str, str]:
    """(rule, where to look) for a program that was still at the line *source* when its time was up."""
    for call, rule, look in WAITING:
        if call in source:
            return rule, look
    return "A program that waits for something that never comes waits for ever; a loop needs an end.", "What ends your loops and waits"
