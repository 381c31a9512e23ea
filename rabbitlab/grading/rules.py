"""What RabbitMQ means by the errors that an answer may meet: the rule, and where to look. Never what to write instead."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """One rule that a learner may run into.

    Attributes:
        says: The rule.
        look: Where to look.
        error: The exception's class, or one of its parents; for a program that hangs, the call it hangs in.
        code: RabbitMQ's reply code, where it decides.
        part: What the text must contain, where it decides.
        line: What the learner's own line must contain, where it decides.
    """

    says: str
    look: str
    error: str = ""
    code: int | None = None
    part: str = ""
    line: str = ""


EXIT = Rule(
    "A function that ends the interpreter ends its caller too; its connections close, and what it had not acknowledged is ready again.",
    "sys.exit, exit, quit or os._exit in your program, and what you wanted to end with it",
)
KILLED = Rule(
    "When a process is gone, its connections close, and what it had not acknowledged is ready again.",
    "What in your program sends signals, or took all the memory",
)
HIDDEN = Rule(
    "Who calls a function catches an exception by its class: one of another class goes past, and says another thing.",
    "The docstring of your file; the except that the first exception met, and what is raised there",
)
CHANNEL, CONNECTION = "ChannelClosedByBroker", "ConnectionClosedByBroker"
WHERE_DECLARED = "Where, and how often, your program declares a queue"
WHERE_CONNECTED = "Where, and how often, your program connects"
YOUR_PARAMETERS = "The parameters you connect with: the ones you were given?"
TWO_THREADS = (
    "A connection serves one thread: two that call it, or its channels, get between each other's reads and writes.",
    "Lesson 3.1, 'Let four threads share a connection'; which threads of your program call pika",
)
NO_HEADERS = (
    "What a publisher did not set is None at the other end; `headers`, too, and not an empty dictionary.",
    "Lesson 2.5, 'Lie on the label'; which messages come to that line without headers",
)
WHAT_CLOSED_IT = "What closed it: an error before, or a with block that had ended"

ERRORS = (  # the first that fits
    Rule(
        "The default exchange, whose name is the empty string, knows every queue by its name; any other is there once it is declared.",
        "Lesson 1.4, 'Misspell a queue'",
        CHANNEL,
        404,
        "exchange",
    ),
    Rule(
        "A queue must be declared before it is used, and is found by its exact name.", "Lesson 1.4, 'Ask for the queue twice'", CHANNEL, 404
    ),
    Rule("A vhost may limit how many queues it holds; RabbitMQ refuses one more.", WHERE_DECLARED, CHANNEL, 406, "queue limit"),
    Rule(
        "A delivery can be acknowledged once, on the channel it came by.",
        "Each place that acknowledges: which may run twice, or on another channel?",
        CHANNEL,
        406,
        "unknown delivery tag",
    ),
    Rule(
        "Declaring a queue that is there asserts its properties: they must be the ones it was made with.",
        "The arguments of your declare, beside what the brief says of the queue",
        CHANNEL,
        406,
        "inequivalent",
    ),
    Rule(
        "RabbitMQ refuses a message above its size limit, 16 MiB by default.",
        "What your program puts into one body",
        CHANNEL,
        406,
        "message size",
    ),
    Rule(
        "A kind of queue takes some arguments and not others, and each with values of its own kind.",
        "Reference page of lesson 2.3, 'What each kind refuses'; the text after the number",
        CHANNEL,
        406,
        "invalid arg",
    ),
    Rule(
        "A stream sends nothing to a consumer that has set no prefetch.",
        "Lesson 2.3, 'Read a stream twice'",
        CHANNEL,
        406,
        "prefetch",
    ),
    Rule(
        "Nothing keeps an answer that comes by direct reply-to, so there is nothing to acknowledge; and RabbitMQ takes a question on the "
        "channel that consumes such answers, once that one consumer is there.",
        "Lesson 3.5, 'Have no reply queue at all'",
        CHANNEL,
        406,
        "reply consumer",
    ),
    Rule(
        "`expiration` is a text of digits: whole milliseconds.",
        "Lesson 3.5, 'Give up in time'; what your program writes there",
        CHANNEL,
        406,
        "expiration",
    ),
    Rule("406 PRECONDITION_FAILED: what was asked contradicts what is there.", "The text after the number", CHANNEL, 406),
    Rule("403 ACCESS_REFUSED: this user may not do that here.", "The name of the queue or exchange you use", CHANNEL, 403),
    Rule(
        "An exclusive queue serves the connection that declared it; others are refused.",
        "The arguments of your declare, and the connection you use",
        CHANNEL,
        405,
    ),
    Rule("After an error on it RabbitMQ closes the channel; the connection stays open.", "Lesson 1.4, 'Be refused'", CHANNEL),
    Rule(
        "RabbitMQ 4.3 refuses a queue that is neither durable nor exclusive, and closes the whole connection.",
        "Lesson 1.4, 'Be refused'",
        CONNECTION,
        541,
    ),
    Rule("A vhost or a user may have a limit on connections and channels; one more is refused.", WHERE_CONNECTED, CONNECTION, 530, "limit"),
    Rule(
        "A vhost or a user may have a limit on connections; one more is refused.",
        WHERE_CONNECTED,
        "ProbableAccessDeniedError",
        part="limit",
    ),
    Rule(
        "A user reaches the vhosts it was given rights on, and no other; trying again changes nothing.",
        "virtual_host in the parameters you use",
        "ProbableAccessDeniedError",
    ),
    Rule("530 NOT_ALLOWED: this user may not do that in this vhost; the connection is closed.", YOUR_PARAMETERS, CONNECTION, 530),
    Rule(
        "An administrator, or a node that shuts down, may close a connection at any time; every channel on it is closed, too.",
        "Lesson 1.5, 'Lose the connection'",
        CONNECTION,
        320,
    ),
    Rule("Some errors close the whole connection, and every channel on it.", "Lesson 1.5, 'Lose the connection'", CONNECTION),
    Rule(
        "RabbitMQ refused the user or the password; trying again with the same ones changes nothing.",
        YOUR_PARAMETERS,
        "ProbableAuthenticationError",
    ),
    Rule(
        "A mandatory message that fits no queue comes back: 312 NO_ROUTE.",
        "exchange and routing_key, and whether the queue is there",
        "UnroutableError",
    ),
    Rule(
        "RabbitMQ may refuse a message, for instance when the queue is full; the channel stays usable.",
        "The queue's limits, and what your program does with a message that is refused",
        "NackError",
    ),
    # What two threads on one connection make of pika has many faces, and none says so.
    Rule(*TWO_THREADS, "StreamLostError", part="IndexError"),
    Rule(*TWO_THREADS, "StreamLostError", part="AssertionError"),
    Rule(*TWO_THREADS, "AssertionError", part="_AsyncTransportBase"),
    Rule(*TWO_THREADS, "AttributeError", part="'NoneType' object has no attribute 'poll'"),
    Rule(
        "A connection whose client stays silent for two heartbeats is given up; the next use of it finds it lost.",
        "Lesson 1.5, 'Leave it idle'",
        "StreamLostError",
    ),
    Rule("A channel that was closed is of no more use.", WHAT_CLOSED_IT, "ChannelWrongStateError"),
    Rule("A channel that was closed is of no more use.", WHAT_CLOSED_IT, "ChannelClosed"),
    Rule("A connection that was closed is of no more use.", WHAT_CLOSED_IT, "ConnectionWrongStateError"),
    Rule("RabbitMQ blocks publishers while it is short of memory or disk.", "./lab status", "ConnectionBlockedTimeout"),
    Rule("No node answered at this host and port.", "host and port in the parameters you use; ./lab status", "AMQPConnectionError"),
    Rule(
        "pika writes whole numbers, texts, truth values, lists and dicts into arguments and headers, and has no way to write a float.",
        "The value in that line; for a lifetime, lesson 2.3, 'A weight that nobody has read in time'",
        "UnsupportedAMQPFieldException",
    ),
    Rule("A consumer tag names one consumer on its channel.", "consumer_tag in your basic_consume", "DuplicateConsumerTag"),
    Rule(*NO_HEADERS, "AttributeError", part="NoneType", line="headers"),
    Rule(*NO_HEADERS, "TypeError", part="NoneType", line="headers"),
    Rule("A program that is graded has no keyboard.", "input() in your program", "EOFError"),
    Rule(
        "json.dumps takes dicts, lists, text, numbers, True, False and None.",
        "What you hand to json.dumps",
        "TypeError",
        part="JSON serializable",
    ),
    Rule("The course's environment holds pika and the standard library.", "The import, and the module's name", "ModuleNotFoundError"),
)

WAITING = (  # the first whose call stands in the line
    Rule(
        "start_consuming() returns when its consumers are cancelled; an empty queue does not end it.",
        "What in your callback ends the waiting, and when",
        "start_consuming",
    ),
    Rule(
        "With an inactivity_timeout consume() tells of a silence, and waits on. While messages come there is none, and what is given back "
        "comes again at once.",
        "What ends your loop, and whether that comes; what your loop gives back",
        "inactivity_timeout",
    ),
    Rule("consume() waits for the next message for ever, unless it was told how long.", "What ends your loop", ".consume("),
    Rule(
        "basic_get() returns at once, also from an empty queue; each message that it takes costs a question and an answer.",
        "What ends the loop around it, and how many messages it has to take",
        "basic_get",
    ),
    Rule("A program that sleeps reads and writes nothing meanwhile.", "What your program sleeps for, and how often", "sleep"),
    Rule(
        "BlockingConnection returns when RabbitMQ has accepted the connection, and raises when it has not.",
        "The loop around it, and what ends it",
        "BlockingConnection(",
    ),
    Rule(
        "After confirm_delivery() each basic_publish waits for RabbitMQ's receipt: each message that it sends costs a question and an "
        "answer.",
        "What ends the loop around it, and how many messages it has to send",
        "basic_publish",
    ),
)
FOR_EVER = Rule(
    "A program that waits for something that never comes waits for ever; a loop runs until it is ended.",
    "What ends your loops; where none is at work, the machine may have been slow: check again",
)


def of_error(message: dict) -> Rule | None:
    """The rule behind an exception as the child told it; None where we know of none."""
    text, line = f"{message['text']} {message.get('reply_text') or ''}", message.get("source") or ""
    fits = (r for r in ERRORS if r.error in message["names"] and r.code in (None, message.get("reply_code")))
    return next((r for r in fits if r.part in text and r.line in line), None)


def of_waiting(source: str) -> Rule:
    """The rule for a program that was still at the line *source* when its time was up."""
    return next((r for r in WAITING if r.error in source), FOR_EVER)
