"""Users that were deleted to be brought back: what they were is kept in a file, so that a killed process loses none."""

import json
import os
from contextlib import suppress
from pathlib import Path

from rabbitlab import management
from rabbitlab.cluster import PROJECT
from rabbitlab.management import path

KEPT = Path.home() / ".local" / "state" / PROJECT / "deleted_users.json"  # any copy of the course brings them back, also after a reboot


def remember(name: str) -> None:
    """Keep what makes the user: password hash, tags, limits, permissions. One that is kept already stays as it was.

    Raises:
        LookupError: there is no such user.
    """
    user = management.api(path("users", name))
    limits = management.api(path("user-limits", name))
    told = {
        "user": {key: user[key] for key in ("password_hash", "hashing_algorithm", "tags")},
        "permissions": management.api(path("users", name, "permissions")),
        "topic_permissions": management.api(path("users", name, "topic-permissions")),
        "limits": limits[0]["value"] if limits else {},
    }
    _write({name: told} | kept())


def kept() -> dict[str, dict]:
    """The users that are kept, by name."""
    try:
        return json.loads(KEPT.read_text())
    except (FileNotFoundError, ValueError):
        return {}


def restore(name: str) -> None:
    """Make the user again as it was kept; nothing to do where it is not. What belonged to a virtual host that is gone stays away."""
    told = kept().get(name)
    if told is None:
        return
    management.api(path("users", name), "PUT", told["user"])
    for limit, value in told["limits"].items():
        management.api(path("user-limits", name, limit), "PUT", {"value": value})
    for kind, rows in (("permissions", told["permissions"]), ("topic-permissions", told["topic_permissions"])):
        for row in rows:
            rights = {key: row[key] for key in ("configure", "write", "read", "exchange") if key in row}
            with suppress(LookupError, ValueError):  # 400 or 404: that virtual host is gone
                management.api(path(kind, row["vhost"], name), "PUT", rights)
    _write({other: theirs for other, theirs in kept().items() if other != name})


def _write(users: dict[str, dict]) -> None:
    """All at once, or not: a kill in between leaves the file as it was. It holds password hashes, so it is for this user's eyes."""
    if not users:
        KEPT.unlink(missing_ok=True)
        return
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    fresh = KEPT.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(users, file, indent=1)
    fresh.replace(KEPT)
