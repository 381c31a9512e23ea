"""Ask over HTTP, and never anything but GET: an audit changes nothing."""

import json
import ssl
from typing import Any
from urllib.parse import urlsplit

import httpx

from rabbitlab.errors import Mendable

PATIENCE = httpx.Timeout(30.0, connect=5.0)  # a node with many queues thinks before it answers
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Refused(Exception):
    """The answer is none that can be used.

    Attributes:
        status: The HTTP status; 0 where there was no answer.
        reason: What was said.
    """

    def __init__(self, status: int, reason: str):
        super().__init__(f"{status} {reason}" if status else reason)
        self.status = status
        self.reason = reason


def trust(ca: str | None = None, cert: str | None = None, key: str | None = None) -> ssl.SSLContext:
    """Whom to trust over TLS, and the certificate to show.

    Args:
        ca: File with the authority's certificate; the machine's own authorities without it.
        cert: File with the certificate of this client, for a server that demands one.
        key: File with its private key, where that is another file.

    Raises:
        Mendable: a file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise Mendable(f"--ca {ca} is no file with a certificate: {_short(error)}") from None
    if cert:
        try:
            context.load_cert_chain(cert, key)
        except (OSError, ssl.SSLError) as error:
            raise Mendable(f"--cert {cert}{f' --key {key}' if key else ''}: no certificate with its key: {_short(error)}") from None
    return context


class Asker:
    """A server that is asked with GET.

    Args:
        url: Address of the server, with a path where it has one.
        login: User and password, where it wants them.
        tls: See :func:`trust`.

    Raises:
        Mendable: the address is none.
    """

    def __init__(self, url: str, *, tls: ssl.SSLContext, login: tuple[str, str] | None = None):
        self.url = checked(url)
        self._client = httpx.Client(
            base_url=f"{self.url}/",
            auth=login,
            verify=tls,
            timeout=PATIENCE,
            trust_env=urlsplit(self.url).hostname not in LOOPBACK,  # no proxy reaches this machine's own ports
            event_hooks={"request": [_only_get]},
        )

    def text(self, path: str, **params: Any) -> str:
        """What the server answers.

        Raises:
            Refused: with another status than 200.
            httpx.TransportError: there is no answer.
        """
        answer = self._client.get(path, params=params)
        if answer.status_code != 200:
            raise Refused(answer.status_code, _reason(answer))
        return answer.text

    def json(self, path: str, **params: Any) -> Any:
        """As :meth:`text`, and what is no JSON is refused, too."""
        text = self.text(path, **params)
        try:
            return json.loads(text)
        except ValueError:
            raise Refused(200, f"no JSON: {text[:40]!r}") from None

    def close(self) -> None:
        self._client.close()


def checked(url: str) -> str:
    """The address without what is not needed.

    Raises:
        Mendable: it is no address, or holds a password.
    """
    if "@" in url:  # also where it is no address: what is said about it must not hold the password
        raise Mendable("Put no name or password into the address, where others can see it: use --user and --password-env")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise Mendable(f"{url} is no address. It begins with http:// or https://, as in https://rabbit.example:15671")
    path = parts.path.rstrip("/").removesuffix("/api").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"


def explain(url: str, error: httpx.TransportError) -> str:
    """One sentence on why nothing came from *url*, and what mends it."""
    said = str(error)
    parts = urlsplit(url)
    if isinstance(error, httpx.TimeoutException):
        return f"{url} does not answer in time. Is the host right, and may this machine reach it?"
    if "CERTIFICATE_VERIFY_FAILED" in said:
        why = said.partition("CERTIFICATE_VERIFY_FAILED] ")[2].partition(" (_ssl")[0] or said
        return f"{url} shows a certificate that is not trusted ({why}). Name its authority with --ca FILE, and the host that it is for"
    if "CERTIFICATE_REQUIRED" in said.upper().replace(" ", "_") or "HANDSHAKE_FAILURE" in said.upper().replace(" ", "_"):
        return f"{url} demands a certificate from whoever calls. Give one with --cert FILE --key FILE"
    if parts.scheme == "https" and ("WRONG_VERSION_NUMBER" in said or "RECORD_LAYER_FAILURE" in said or "UNEXPECTED_EOF" in said):
        return f"{url} does not speak TLS on this port. Try http://{parts.netloc}"
    if isinstance(error, httpx.ConnectError):
        return f"Nothing answers at {url} ({_short(error)}). Management is on port 15672, or 15671 with TLS; is its plugin enabled?"
    return f"{url} answers, but not as a web server does. Port 5672 is for AMQP; management is on 15672, or https on 15671"


def _only_get(request: httpx.Request) -> None:
    if request.method != "GET":
        raise AssertionError(f"an audit only reads, and this is a {request.method}")


def _reason(answer: httpx.Response) -> str:
    if answer.is_redirect:
        return f"it is at {answer.headers.get('location')}"
    try:
        said = answer.json()
    except ValueError:
        return answer.reason_phrase
    return str(said.get("reason") or said.get("error") or answer.reason_phrase) if isinstance(said, dict) else answer.reason_phrase


def _short(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
