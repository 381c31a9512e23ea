"""Read a rabbitmq.conf, for what the management API does not show."""

import re
from pathlib import Path

from rabbitlab.errors import Mendable


def read(path: str) -> dict[str, str]:
    """The settings of a file, by key; the last line of a key counts.

    Raises:
        Mendable: the file cannot be read, or is another kind of file.
    """
    try:
        lines = Path(path).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "no text"
        raise Mendable(f"--config {path} cannot be read ({why}). It takes a rabbitmq.conf") from None
    found = {}
    for number, line in enumerate(lines, 1):
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if not text:
            continue
        key, equals, value = text.partition("=")
        if not equals:
            raise Mendable(f"--config {path}, line {number} is no setting (key = value). It takes a rabbitmq.conf, not an advanced.config")
        found[key.strip()] = value.strip().strip("'")
    return found
