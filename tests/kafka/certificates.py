"""Certificates of a CA made for one test session, as the broker and clients want them."""

from __future__ import annotations

import datetime
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import load_pem_private_key


class Certificates:
    """Files in `folder`: `ca.pem`, `other-ca.pem`, and `NAME.pem` with `NAME.key` for broker, client, expired and stranger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        ca, other = trustme.CA(), trustme.CA()
        ca.cert_pem.write_to_path(folder / "ca.pem")
        other.cert_pem.write_to_path(folder / "other-ca.pem")
        self._issue(ca, "broker", "localhost", "127.0.0.1")
        self._issue(ca, "client", common_name="client")
        past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        self._issue(ca, "expired", common_name="expired", not_after=past)
        self._issue(other, "stranger", common_name="stranger")

    def _issue(
        self,
        ca: trustme.CA,
        name: str,
        *hosts: str,
        common_name: str | None = None,
        not_after: datetime.datetime | None = None,
    ) -> None:
        made = ca.issue_cert(*hosts or (f"{name}.example",), common_name=common_name, not_after=not_after)
        chain = b"".join(blob.bytes() for blob in made.cert_chain_pems)
        (self.folder / f"{name}.pem").write_bytes(chain)
        key = load_pem_private_key(made.private_key_pem.bytes(), None).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self.folder / f"{name}.key").write_bytes(key)
        (self.folder / f"{name}-both.pem").write_bytes(key + chain)

    def broker_properties(self) -> dict[str, str]:
        """What the broker needs for its TLS listeners; the one named MUTUAL wants a client certificate."""
        return {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.folder / "broker-both.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.folder / "ca.pem"),
            "listener.name.mutual.ssl.client.auth": "required",
        }
