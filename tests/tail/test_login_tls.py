"""Logins over TLS, against a server that has a certificate of a CA made for the test and asks for the client's."""

from __future__ import annotations

import base64
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
import urllib3
import yaml

from logproc.tail.login import plain_login, read_kubeconfigs


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class _Who(BaseHTTPRequestHandler):
    """Answers with the login: the token, and the name in the client's certificate."""

    def do_GET(self) -> None:
        assert isinstance(self.connection, ssl.SSLSocket)
        shown: Any = self.connection.getpeercert() or {}
        names = dict(pair for part in shown.get("subject", ()) for pair in part)
        said = f"{self.headers.get('Authorization')} {names.get('commonName')}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A refused handshake is what some tests want."""


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server(ca: trustme.CA) -> Iterator[str]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    with _Quiet(("127.0.0.1", 0), _Who) as listening:
        # The handshake is made by the thread of its connection, so that a refused one stops no other.
        listening.socket = context.wrap_socket(listening.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


Ask = Callable[[dict[str, Any], dict[str, Any]], str]


@pytest.fixture
def ask(tmp_path: Path, server: str) -> Ask:
    """What the server says of a login with these entries of a kubeconfig: of the cluster, of the user."""

    def asked(cluster: dict[str, Any], user: dict[str, Any]) -> str:
        config = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
            "clusters": [{"name": "c", "cluster": {"server": server} | cluster}],
            "users": [{"name": "c", "user": user}],
        }
        (tmp_path / "config").write_text(yaml.safe_dump(config))
        login = plain_login(read_kubeconfigs([tmp_path / "config"]), "c", 4)
        assert login is not None
        answer = login.pool.request("GET", login.server, headers=login.headers(), retries=False, timeout=10)
        return bytes(answer.data).decode()

    return asked


def encoded(blob: trustme.Blob) -> str:
    return base64.b64encode(blob.bytes()).decode()


def test_a_token_is_sent_to_a_server_of_the_given_authority(ask: Ask, ca: trustme.CA, tmp_path: Path) -> None:
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")

    assert ask({"certificate-authority-data": encoded(ca.cert_pem)}, {"token": "t0"}) == "Bearer t0 None"
    assert ask({"certificate-authority": "ca.pem"}, {"token": "t1"}) == "Bearer t1 None"


def test_a_client_certificate_is_shown(ask: Ask, ca: trustme.CA, tmp_path: Path) -> None:
    made = ca.issue_cert("admin.example", common_name="admin")
    chain, key = made.cert_chain_pems[0], made.private_key_pem
    chain.write_to_path(tmp_path / "admin.pem")
    key.write_to_path(tmp_path / "admin.key")
    cluster = {"certificate-authority-data": encoded(ca.cert_pem)}

    assert ask(cluster, {"client-certificate": "admin.pem", "client-key": "admin.key"}) == "None admin"
    assert ask(cluster, {"client-certificate-data": encoded(chain), "client-key-data": encoded(key)}) == "None admin"


def test_a_certificate_of_another_authority_is_refused_by_the_server(ask: Ask, ca: trustme.CA) -> None:
    made = trustme.CA().issue_cert("admin.example", common_name="admin")
    user = {
        "client-certificate-data": encoded(made.cert_chain_pems[0]),
        "client-key-data": encoded(made.private_key_pem),
    }

    with pytest.raises(urllib3.exceptions.HTTPError):
        ask({"certificate-authority-data": encoded(ca.cert_pem)}, user)


@pytest.mark.parametrize("trusted", ["another authority", "the machine's authorities"])
def test_a_server_that_nobody_vouches_for_gets_no_token(ask: Ask, trusted: str) -> None:
    other = {"certificate-authority-data": encoded(trustme.CA().cert_pem)} if trusted == "another authority" else {}

    with pytest.raises(urllib3.exceptions.SSLError, match="certificate verify failed"):
        ask(other, {"token": "t0"})


def test_the_certificate_has_to_be_of_the_address(ask: Ask, ca: trustme.CA, server: str) -> None:
    elsewhere = {"server": server.replace("127.0.0.1", "localhost"), "certificate-authority-data": encoded(ca.cert_pem)}

    with pytest.raises(urllib3.exceptions.SSLError, match="certificate verify failed"):
        ask(elsewhere, {"token": "t0"})


def test_without_verification_any_server_will_do(ask: Ask) -> None:
    assert ask({"insecure-skip-tls-verify": True}, {"token": "t0"}) == "Bearer t0 None"
