"""Logins by token and certificate are read here; whatever is more than that is left to the official client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from logproc.errors import ConfigError
from logproc.tail.login import plain_login, read_kubeconfigs


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def kubeconfig(path: Path, user: dict[str, Any], cluster: dict[str, Any] | None = None, name: str = "here") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": name,
                "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "shop"}}],
                "clusters": [{"name": name, "cluster": cluster or {"server": "http://127.0.0.1:1/"}}],
                "users": [{"name": name, "user": user}],
            }
        )
    )
    return path


def test_a_token_is_used_as_it_stands(tmp_path: Path) -> None:
    login = plain_login(read_kubeconfigs([kubeconfig(tmp_path / "config", {"token": "t0"})]), "here", 4)

    assert login is not None
    assert login.server == "http://127.0.0.1:1"
    assert login.headers()["Authorization"] == "Bearer t0"


def test_a_token_file_beside_the_kubeconfig_is_read_again_for_each_request(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one\n")
    login = plain_login(read_kubeconfigs([kubeconfig(tmp_path / "config", {"tokenFile": "token"})]), "here", 4)

    assert login is not None
    assert login.headers()["Authorization"] == "Bearer one"
    token.write_text("two\n")
    assert login.headers()["Authorization"] == "Bearer two"
    token.unlink()
    with pytest.raises(OSError, match="token"):
        login.headers()


@pytest.mark.parametrize(
    "user",
    [
        {"exec": {"command": "login", "apiVersion": "client.authentication.k8s.io/v1"}},
        {"auth-provider": {"name": "oidc"}},
        {"username": "u", "password": "p"},
        {"token": "t", "as": "someone"},
    ],
    ids=lambda user: sorted(user)[0],
)
def test_more_than_a_token_or_certificate_is_left_to_the_official_client(tmp_path: Path, user: dict[str, Any]) -> None:
    assert plain_login(read_kubeconfigs([kubeconfig(tmp_path / "config", user)]), "here", 4) is None


@pytest.mark.parametrize(
    "further", [{"proxy-url": "http://p:1"}, {"tls-server-name": "api"}], ids=lambda f: next(iter(f))
)
def test_a_cluster_behind_more_than_an_address_is_left_to_the_official_client(
    tmp_path: Path, further: dict[str, str]
) -> None:
    config = kubeconfig(tmp_path / "config", {"token": "t"}, {"server": "https://127.0.0.1:1"} | further)

    assert plain_login(read_kubeconfigs([config]), "here", 4) is None


def test_a_proxy_is_left_to_the_official_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")

    assert plain_login(read_kubeconfigs([kubeconfig(tmp_path / "config", {"token": "t"})]), "here", 4) is None


def test_kubeconfigs_are_merged_and_the_first_file_wins(tmp_path: Path) -> None:
    one = kubeconfig(tmp_path / "one" / "config", {"token": "first"})
    two = kubeconfig(tmp_path / "two" / "config", {"token": "second"})
    three = kubeconfig(tmp_path / "three" / "config", {"client-certificate": "c.pem"}, name="there")

    kept = read_kubeconfigs([one, two, three])

    assert kept.current == "here"
    assert kept.users["here"]["token"] == "first"
    assert kept.users["there"]["client-certificate"] == str(tmp_path / "three" / "c.pem")


@pytest.mark.parametrize("content", ["[", "contexts: 3", "- a list", "contexts: [{}]"])
def test_a_file_that_is_no_kubeconfig_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)

    with pytest.raises(ConfigError, match=str(path)):
        read_kubeconfigs([path])
