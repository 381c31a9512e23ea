"""The certificates of the node that speaks TLS only, and of those who call on it: made on this machine, never committed.

The lab is its own certificate authority. Its key is thrown away once it has signed, so nothing can be signed in its name later:
certificates are renewed all together.

=================  ====================================================================================
``ca.pem``         whom to trust: the authority's certificate
``rabbit-tls/``    what the node gets: ``ca.pem``, ``server.pem`` and ``server.key``
``till``           a client's: the node takes its common name, ``till``, for the user
``expired``        right but for its dates
``wrong_host``     good, but for another host, ``warehouse.example``
``stranger``       signed by an authority that nobody here trusts
=================  ====================================================================================

Each of the last four is a certificate, ``till.pem``, and its private key, ``till.key``.
"""

import datetime
import os
import shutil
import ssl
from pathlib import Path

from rabbitlab.errors import Mendable
from rabbitlab.nodes import HOST, TLS_PORT
from rabbitlab.units import ROOT, STATE

FOLDER = STATE / "certificates"
SERVICE = "rabbit-tls"  # the compose service, and the folder that it mounts
LIFETIME = datetime.timedelta(days=365)
SOON = datetime.timedelta(days=30)  # so long before they expire they are renewed
HOSTS = ("localhost", "127.0.0.1", SERVICE)
VALID = (f"{SERVICE}/server", "till")  # must be good; the others are bad on purpose
BAD = ("expired", "wrong_host", "stranger")
WHAT = {
    "ca.pem": "the authority: whom to trust",
    f"{SERVICE}/": f"certificate and key of the node, for {', '.join(HOSTS)}",
    "till": "a client's, which logs in as the user till",
    "expired": "expired yesterday",
    "wrong_host": "for another host, warehouse.example",
    "stranger": "signed by an authority that nobody here trusts",
}


def ensure(renew: bool = False) -> bool:
    """Make the certificates where they are missing, incomplete or about to expire.

    Args:
        renew: Make new ones in any case.

    Returns:
        Whether new ones were made. A node that runs keeps its old ones until it is started again: see :func:`stale`.

    Raises:
        Mendable: the folder cannot be written.
    """
    if not renew and not problem():
        return False
    fresh = FOLDER.with_name(f"{FOLDER.name}.{os.getpid()}")
    try:
        FOLDER.parent.mkdir(exist_ok=True)
        _make(fresh)
        _put_in_place(fresh)
    except PermissionError as error:
        folder = _shown(FOLDER.parent)
        raise Mendable(f'Cannot write {error.filename}. Give it to your user: sudo chown -R "$(id -un)" {folder}') from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return True


def show(renew: bool = False) -> None:
    """Make what is missing, as :func:`ensure`, and print what there is, until when, and what to do next."""
    made = ensure(renew)
    until = f"{_expires(FOLDER / SERVICE / 'server.pem'):%d %B %Y}"
    print(f"{'Made' if made else 'Kept'} the certificates in {_shown(FOLDER)}, good until {until}:")
    for name, what in WHAT.items():
        print(f"  {name:<12} {what}")
    print("The node still shows older ones. Give it these: ./lab up --tls" if stale() else "Start the node that uses them: ./lab up --tls")


def problem() -> str:
    """What keeps the certificates from being used, or nothing."""
    names = [f"{name}{end}" for name in (*VALID, *BAD) for end in (".pem", ".key")]
    missing = [name for name in ("ca.pem", f"{SERVICE}/ca.pem", *names) if not (FOLDER / name).is_file()]
    if missing:
        return f"{_shown(FOLDER)} lacks {', '.join(missing)}" if FOLDER.is_dir() else f"{_shown(FOLDER)} does not exist"
    for name in VALID:
        try:
            until = _expires(FOLDER / f"{name}.pem")
        except ValueError:
            return f"{_shown(FOLDER)}/{name}.pem is no certificate"
        if until - SOON < datetime.datetime.now(datetime.UTC):
            return f"{_shown(FOLDER)}/{name}.pem expires on {until:%d %B %Y}"
    return ""


def stale() -> bool:
    """Whether the node runs and shows another certificate than the one in the folder."""
    try:
        shown = ssl.get_server_certificate((HOST, TLS_PORT), timeout=3)
        ours = (FOLDER / SERVICE / "server.pem").read_text()
    except (OSError, ValueError):
        return False
    return ssl.PEM_cert_to_DER_cert(shown) != ssl.PEM_cert_to_DER_cert(ours)


def _make(folder: Path) -> None:
    import trustme

    now = datetime.datetime.now(datetime.UTC)
    organization = "RabbitMQ by doing"

    def issue(authority: trustme.CA, path: str, *hosts: str, until: datetime.datetime = now + LIFETIME, user: str | None = None) -> None:
        names = {"organization_name": organization, "organization_unit_name": "lab", "common_name": user or hosts[0]}
        dates = {"not_before": now - datetime.timedelta(days=30), "not_after": until}
        certificate = authority.issue_cert(*hosts, **names, **dates)
        _write(folder / f"{path}.pem", certificate.cert_chain_pems[0].bytes(), 0o644)
        _write(folder / f"{path}.key", certificate.private_key_pem.bytes(), 0o600)

    ours = trustme.CA(organization_name=organization, organization_unit_name="lab authority")
    unknown = trustme.CA(organization_name="Somebody else", organization_unit_name="authority of their own")
    folder.mkdir(mode=0o755)
    (folder / SERVICE).mkdir(mode=0o755)
    for path in (folder, folder / SERVICE):
        _write(path / "ca.pem", ours.cert_pem.bytes(), 0o644)
    issue(ours, f"{SERVICE}/server", *HOSTS)
    issue(ours, "till", "till.shop.example", user="till")
    issue(ours, "expired", *HOSTS, until=now - datetime.timedelta(days=1), user="till")
    issue(ours, "wrong_host", "warehouse.example")
    issue(unknown, "stranger", *HOSTS, user="till")


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file that has its mode from the beginning: a key is never readable by others, not for a moment."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "wb") as file:
        file.write(content)


def _put_in_place(fresh: Path) -> None:
    """The new folder in place of the old one, whole."""
    old = fresh.with_name(f"{fresh.name}.old")
    if FOLDER.exists():
        FOLDER.rename(old)
    fresh.rename(FOLDER)
    shutil.rmtree(old, ignore_errors=True)


def _expires(path: Path) -> datetime.datetime:
    from cryptography import x509

    return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
