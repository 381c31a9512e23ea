"""What a check says when it fails: what we did and saw, the rule that explains it, where to look."""

LABELS = ("Saw", "Rule", "Look")


class Feedback(str):
    """The three parts as one text, one line each; the parts stay at hand for who prints them.

    Attributes:
        parts: (saw, rule, look).
    """

    parts: tuple[str, str, str]

    def __new__(cls, saw: str, rule: str, look: str) -> "Feedback":
        """Keep each part on a line of its own."""
        parts = tuple(" ".join(part.split()) for part in (saw, rule, look))
        text = super().__new__(cls, "\n".join(f"{label}: {part}" for label, part in zip(LABELS, parts, strict=True) if part))
        text.parts = parts
        return text

    def __getnewargs__(self):
        """Let it travel between processes."""
        return self.parts


made: list[Feedback] = []  # during the check that runs now


def feedback(saw: str, rule: str, look: str) -> Feedback:
    """The message of a failed check: ``assert depth == 3, feedback(saw=..., rule=..., look=...)``.

    Args:
        saw: What we did and what the broker showed. Never the value that a marked check expects.
        rule: The RabbitMQ rule that explains it.
        look: Lesson and section, or a command.
    """
    text = Feedback(saw, rule, look)
    made.append(text)
    return text


def of_assertion(error: AssertionError) -> Feedback | None:
    """The feedback with which *error* was raised; None when the check gave none.

    pytest adds its own view of the two values below the message, which would give the expected value away.
    """
    text = str(error)
    for candidate in reversed(made):
        if text.startswith(str(candidate).partition("\n")[0]):
            return candidate
    return None


def made_none() -> None:
    """A new check begins."""
    made.clear()
