"""The certificates that ./lab certs makes; and the node that asks for them: whom it lets in, and whom a client lets pass for it."""

import base64
import os
import socket
import ssl
import stat
import subprocess
import threading
import urllib.request
from contextlib import contextmanager, suppress

import pika
import pytest

from rabbitlab import certificates, cluster
from rabbitlab.errors import Mendable
from rabbitlab.nodes import HOST, TLS_MANAGEMENT_PORT, TLS_METRICS_PORT, TLS_PORT
from rabbitlab.units import ROOT
from tests import needs

REMOVE = ("--profile", "tls", "rm", "--stop", "--force")
OPERATOR = "operator:operator-on-this-machine-only"


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A folder of the test's own, in place of .lab/certificates."""
    monkeypatch.setattr(certificates, "FOLDER", tmp_path / "lab" / "certificates")
    return certificates.FOLDER


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def context(folder, *, trust="ca.pem", client="till"):
    """What a client trusts and shows."""
    made = ssl.create_default_context(cafile=folder / trust)
    if client:
        made.load_cert_chain(folder / f"{client}.pem", folder / f"{client}.key")
    return made


def handshake(folder, server, *, host="localhost", client="till"):
    """A client and a server shake hands in memory; the server demands a certificate, as rabbit-tls does."""
    expects = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.pem")
    expects.verify_mode = ssl.CERT_REQUIRED
    expects.load_cert_chain(folder / f"{server}.pem", folder / f"{server}.key")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        context(folder, client=client).wrap_bio(to_client, to_server, server_hostname=host),
        expects.wrap_bio(to_server, to_client, server_side=True),
    ]
    while sides:
        for side in list(sides):
            try:
                side.do_handshake()
                sides.remove(side)
            except ssl.SSLWantReadError:
                pass


def test_they_are_made_once_and_kept(folder):
    assert certificates.ensure()
    before = contents(folder)
    assert not certificates.ensure()
    assert contents(folder) == before


def test_new_ones_are_made_when_asked_for(folder):
    certificates.ensure()
    before = contents(folder)
    assert certificates.ensure(renew=True)
    assert all(content != before[path] for path, content in contents(folder).items())
    assert [path.name for path in folder.parent.iterdir()] == ["certificates"]


@pytest.mark.parametrize("lost", ["ca.pem", "till.key", "rabbit-tls/server.pem", "wrong_host.pem"])
def test_where_a_file_is_missing_all_are_made_again(folder, lost):
    certificates.ensure()
    (folder / lost).unlink()
    assert lost in certificates.problem()
    assert certificates.ensure()
    handshake(folder, "rabbit-tls/server")


def test_what_is_about_to_expire_is_renewed(folder, monkeypatch):
    certificates.ensure()
    assert certificates.problem() == ""
    monkeypatch.setattr(certificates, "SOON", certificates.LIFETIME)
    assert "server.pem expires on" in certificates.problem()


def test_private_keys_are_readable_by_their_owner_alone(folder):
    old = os.umask(0)
    try:
        certificates.ensure()
    finally:
        os.umask(old)
    keys = list(folder.rglob("*.key"))
    assert len(keys) == 5
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}


def test_the_authority_keeps_no_key(folder):
    certificates.ensure()
    assert not list(folder.rglob("ca.key"))


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_named_with_its_mend(folder):
    folder.parent.mkdir()
    folder.parent.chmod(0o500)
    with pytest.raises(Mendable, match="sudo chown"):
        certificates.ensure()


@pytest.mark.parametrize("host", certificates.HOSTS)
def test_the_nodes_certificate_is_good_for_each_of_its_names(folder, host):
    certificates.ensure()
    handshake(folder, "rabbit-tls/server", host=host)


@pytest.mark.parametrize(
    ("server", "why"), [("expired", "has expired"), ("wrong_host", "Hostname mismatch"), ("stranger", "unable to get local issuer")]
)
def test_a_client_refuses_a_server_with_a_bad_certificate(folder, server, why):
    certificates.ensure()
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        handshake(folder, server)
    assert why in caught.value.verify_message


@pytest.mark.parametrize("client", ["expired", "stranger", None])
def test_a_server_refuses_a_client_with_a_bad_certificate_or_none(folder, client):
    certificates.ensure()
    with pytest.raises(ssl.SSLError):
        handshake(folder, "rabbit-tls/server", client=client)


def test_the_command_says_what_was_made_and_what_comes_next(folder, monkeypatch, capsys):
    monkeypatch.setattr(certificates, "stale", lambda: False)
    certificates.show()
    certificates.show()
    out = capsys.readouterr().out
    assert "Made the certificates" in out
    assert "Kept the certificates" in out
    assert "./lab up --tls" in out
    assert all(name in out for name in certificates.WHAT)


@contextmanager
def answering(folder, server):
    """A port that shows the certificate *server* to one caller."""
    shows = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    shows.load_cert_chain(folder / f"{server}.pem", folder / f"{server}.key")

    def answer(door):
        with suppress(OSError), shows.wrap_socket(door.accept()[0], server_side=True) as caller:
            caller.recv(1)

    with socket.create_server((HOST, 0)) as door:
        thread = threading.Thread(target=answer, args=(door,))
        thread.start()
        yield door.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(("server", "stale"), [("rabbit-tls/server", False), ("expired", True)])
def test_a_node_that_shows_another_certificate_is_noticed(folder, monkeypatch, server, stale):
    certificates.ensure()
    with answering(folder, server) as port:
        monkeypatch.setattr(certificates, "TLS_PORT", port)
        assert certificates.stale() is stale


def test_where_no_node_answers_none_is_stale(folder, monkeypatch):
    certificates.ensure()
    with socket.create_server((HOST, 0)) as once:
        monkeypatch.setattr(certificates, "TLS_PORT", once.getsockname()[1])
    assert not certificates.stale()


@pytest.mark.parametrize(("stale", "removed"), [(True, [(*REMOVE, certificates.SERVICE)]), (False, [])])
def test_up_starts_a_node_with_old_certificates_anew(folder, monkeypatch, stale, removed):
    composed = []
    monkeypatch.setattr(certificates, "stale", lambda: stale)
    monkeypatch.setattr(cluster, "compose", lambda *words, **options: composed.append(words))
    cluster._bring_certificates()
    assert certificates.problem() == ""
    assert composed == removed


def test_they_are_not_committed():
    ignored = subprocess.run(["git", "check-ignore", "-q", certificates.FOLDER / "till.key"], cwd=ROOT)
    assert ignored.returncode in (0, 128)  # 128: this is no git checkout


# On the node itself.

on_the_node = pytest.mark.cluster


@pytest.fixture
def node():
    """rabbit-tls, which speaks TLS only."""
    found = cluster.containers().get(certificates.SERVICE)
    if not found or not found.healthy:
        needs.missing("rabbit-tls does not run. Start it with: ./lab up --tls")
    assert not certificates.stale()


@contextmanager
def connected(host="localhost", *, trust="ca.pem", client="till", **options):
    tls = pika.SSLOptions(context(certificates.FOLDER, trust=trust, client=client), host)
    login = {"virtual_host": "shop", "credentials": pika.credentials.ExternalCredentials()}
    with pika.BlockingConnection(pika.ConnectionParameters("localhost", TLS_PORT, ssl_options=tls, **{**login, **options})) as connection:
        yield connection


@on_the_node
@pytest.mark.usefixtures("node")
class TestNode:
    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
    def test_takes_a_message_from_a_client_it_knows(self, host):
        with connected(host) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish(exchange="sales", routing_key="order.placed", body=b"a test", mandatory=True)

    @pytest.mark.parametrize("client", [None, "expired", "stranger"])
    def test_refuses_a_client_that_it_does_not_know(self, client):
        # The handshake is over for the client before the node has looked at its certificate, so pika learns of it by a broken connection.
        with pytest.raises(pika.exceptions.IncompatibleProtocolError, match=r"(?i)certificate|unknown_ca"), connected(client=client):
            pass

    def test_a_certificate_without_a_user_is_no_login(self):
        with pytest.raises(pika.exceptions.ProbableAuthenticationError), connected(client="wrong_host"):
            pass

    def test_refuses_a_password(self):
        password = pika.PlainCredentials(*OPERATOR.split(":"))
        with pytest.raises(pika.exceptions.AuthenticationError), connected(credentials=password):
            pass

    def test_is_refused_by_a_client_that_asked_for_another_host(self):
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"), connected("broker.shop.example"):
            pass

    def test_is_refused_by_a_client_that_trusts_another_authority(self):
        with pytest.raises(ssl.SSLCertVerificationError), connected(trust="stranger.pem"):
            pass

    def test_refuses_plain_amqp(self):
        with pytest.raises(pika.exceptions.IncompatibleProtocolError):
            pika.BlockingConnection(pika.ConnectionParameters("localhost", TLS_PORT))
        with socket.create_connection((HOST, TLS_PORT), timeout=5) as plain:
            plain.sendall(b"AMQP\x00\x00\x09\x01")
            assert not plain.recv(8).startswith((b"AMQP", b"\x01"))  # a TLS alert, no Connection.Start

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_refuses_old_versions_of_tls(self):
        old = context(certificates.FOLDER)
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises(ssl.SSLError), socket.create_connection((HOST, TLS_PORT)) as plain:
            old.wrap_socket(plain, server_hostname="localhost")

    def test_lets_an_application_do_its_work_and_no_more(self):
        with connected() as connection, pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
            connection.channel().queue_declare(queue="orders", passive=True)

    @pytest.mark.parametrize(("port", "path"), [(TLS_MANAGEMENT_PORT, "/api/whoami"), (TLS_METRICS_PORT, "/metrics")])
    def test_shows_management_and_metrics_to_those_with_a_certificate(self, port, path):
        login = {"Authorization": f"Basic {base64.b64encode(OPERATOR.encode()).decode()}"}
        request = urllib.request.Request(f"https://localhost:{port}{path}", headers=login)
        with urllib.request.urlopen(request, context=context(certificates.FOLDER), timeout=10) as answer:
            assert answer.status == 200
        with pytest.raises(OSError, match=r"(?i)certificate"):
            urllib.request.urlopen(request, context=context(certificates.FOLDER, client=None), timeout=10)

    def test_opens_no_plain_port(self):
        said = cluster.compose(
            "exec", "-T", certificates.SERVICE, "cat", "/proc/net/tcp", "/proc/net/tcp6", capture=True, check=True
        ).stdout
        lines = [line.split() for line in said.splitlines() if " 0A " in line]  # listening
        open_to_others = {int(line[1].split(":")[1], 16) for line in lines if line[1].startswith("0000")}
        assert open_to_others == {TLS_PORT, TLS_MANAGEMENT_PORT, TLS_METRICS_PORT}

    def test_has_no_guest(self):
        said = cluster.compose("exec", "-T", certificates.SERVICE, "rabbitmqctl", "--quiet", "list_users", capture=True, check=True).stdout
        users = {line.split("\t")[0] for line in said.splitlines()[1:]}
        assert users >= {"operator", "till"}  # other tests make users of their own
        assert "guest" not in users


@on_the_node
def test_a_start_without_certificates_names_the_command_that_makes_them(tmp_path):
    image = cluster.compose("--profile", "tls", "config", "--images", certificates.SERVICE, capture=True, check=True).stdout.split()[0]
    start = ROOT / "docker" / "rabbit-tls" / "start-node.sh"
    mounts = ["--volume", f"{tmp_path}:/run/certificates:ro", "--volume", f"{start}:/start-node.sh:ro", "--tmpfs", "/run/rabbitmq-tls"]
    done = subprocess.run(
        ["docker", "run", "--rm", "--network", "none", *mounts, "--entrypoint", "sh", image, "/start-node.sh"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "./lab certs" in done.stderr
