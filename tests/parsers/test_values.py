"""Structured values: what each shape reads as."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parsers.values import Cluster, Details, Sni, address, cluster, details, flags, path_template, request_id, sni


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "outbound|80|v2|reviews.default.svc.cluster.local",
            ("outbound", 80, "v2", "reviews.default.svc.cluster.local"),
        ),
        ("outbound|443||www.example.org;", ("outbound", 443, None, "www.example.org")),
        ("outbound|80||*.example.org", ("outbound", 80, None, "*.example.org")),
        ("inbound|8080||", ("inbound", 8080, None, None)),
        ("inbound|8080||;", ("inbound", 8080, None, None)),
        ("inbound|9080|http|details.shop.svc", ("inbound", 9080, None, "details.shop.svc")),
        ("inbound-vip|9080|http|details.shop.svc", ("inbound-vip", 9080, None, "details.shop.svc")),
        ("inbound-vip|9080|http/v1|details.shop.svc", ("inbound-vip", 9080, "v1", "details.shop.svc")),
        ("inbound-vip|9080|tcp|details.shop.svc", ("inbound-vip", 9080, None, "details.shop.svc")),
        ("inbound-vip|9080||details.shop.svc", ("inbound-vip", 9080, None, "details.shop.svc")),
        ("inbound-vip|9080|httpd|details.shop.svc", ("inbound-vip", 9080, "httpd", "details.shop.svc")),
        ("outbound_.80_.v1_.web.shop.svc", ("outbound", 80, "v1", "web.shop.svc")),
        ("outbound_.80_._.web.shop.svc", ("outbound", 80, None, "web.shop.svc")),
        ("PassthroughCluster", ("outbound", None, None, None)),
        ("BlackHoleCluster", ("outbound", None, None, None)),
        ("BlackHoleCluster;", ("outbound", None, None, None)),
        ("InboundPassthroughCluster", ("inbound", None, None, None)),
        ("InboundPassthroughClusterIpv4", ("inbound", None, None, None)),
        ("InboundPassthroughClusterIpv6;", ("inbound", None, None, None)),
    ],
)
def test_cluster(text: str, expected: tuple[object, ...]) -> None:
    assert cluster(text) == Cluster(*expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    ["kube_default_reviews_9080", "xds-grpc", "-", "", "outbound", "outbound|99999||h", "outbound|80|h", "outbound|80||h|x",
     " outbound|80||h", "outbound|80||h ", "outbound|80||h h", "MyPassthroughCluster", "httproute/default/backend/rule/0"],
)  # fmt: skip
def test_a_name_that_istio_did_not_make_tells_nothing(text: str) -> None:
    assert cluster(text) == Cluster()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("outbound_.9080_.v1_.reviews.default.svc", Sni(9080, "v1", "reviews.default.svc")),
        ("outbound_.9080_._.reviews.default.svc", Sni(9080, None, "reviews.default.svc")),
        ("outbound_.9080_.instance-b_.a.b", Sni(9080, "instance-b", "a.b")),
        ("outbound_.9080_.under_score_.a.b", Sni(9080, "under_score", "a.b")),
        ("www.example.org", None),
        ("outbound_.x_.v1_.reviews", None),
        ("outbound_.9080_.v1_.", None),
        ("-", None),
        ("", None),
    ],
)
def test_sni(text: str, expected: Sni | None) -> None:
    assert sni(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-", None),
        ("", ""),
        ("UO", "UO"),
        ("URX,UF", "UF,URX"),
        ("UF,URX", "UF,URX"),
        ("UF,UF", "UF"),
        ("ZZ,UF", "UF,ZZ"),
        ("UpstreamRetryLimitExceeded,UpstreamConnectionFailure", "UF,URX"),
        ("MyOwnFlag", "MyOwnFlag"),
    ],
)
def test_flags_are_a_set(text: str, expected: str | None) -> None:
    assert flags(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1:8080", ("10.0.0.1", 8080)),
        ("10.0.0.1:0", ("10.0.0.1", 0)),
        ("tcp://10.0.0.1:8080", ("10.0.0.1", 8080)),
        ("[2001:db8::1]:8080", ("2001:db8::1", 8080)),
        ("tcp://[::1]:80", ("::1", 80)),
        ("[fe80::1%eth0]:80", ("fe80::1%eth0", 80)),
        ("::ffff:10.0.0.1:8080", ("::ffff:10.0.0.1", 8080)),
        ("2001:db8:0:0:0:0:0:1:8080", ("2001:db8:0:0:0:0:0:1", 8080)),
        ("::1:43210", ("::1", 43210)),
        ("2001:db8::1", ("2001:db8::1", None)),
        ("::1:8080", ("::1:8080", None)),
        ("10.0.0.1", ("10.0.0.1", None)),
        ("10.0.0.0/24", ("10.0.0.0/24", None)),
        ("10.0.0.1:99999", ("10.0.0.1:99999", None)),
        ("localhost:15000", ("localhost", 15000)),
        ("/var/run/app.sock", ("/var/run/app.sock", None)),
        ("@abstract", ("@abstract", None)),
        ("envoy://connect_originate/10.0.0.1:9080", ("envoy://connect_originate/10.0.0.1:9080", None)),
        ("envoy://internal_client_address/", ("envoy://internal_client_address/", None)),
        ("-", (None, None)),
        ("", ("", None)),
    ],
)
def test_address(text: str, expected: tuple[str | None, int | None]) -> None:
    assert address(text) == expected


@given(st.ip_addresses(), st.integers(0, 65535))
def test_any_address_with_a_port_comes_apart(ip: object, port: int) -> None:
    host = str(ip)
    assert address(f"[{host}]:{port}" if ":" in host else f"{host}:{port}") == (host, port)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("via_upstream", Details("via_upstream")),
        ("upstream_reset_before_response_started{overflow}", Details("upstream_reset_before_response_started", "overflow")),
        ("a{b|TLS_error:_{x}}", Details("a", "b|TLS_error:_{x}")),
        ("a{}", Details("a", "")),
        ("rbac_access_denied_matched_policy[ns[foo]-policy[p]-rule[0]]",
         Details("rbac_access_denied_matched_policy", "ns[foo]-policy[p]-rule[0]")),
        ("http1.codec_error", Details("http1.codec_error")),
        ("cut_off{half", Details("cut_off{half")),
        ("{x}", Details("{x}")),
        ("", Details("")),
    ],
)  # fmt: skip
def test_details(text: str, expected: Details) -> None:
    assert details(text) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("", ""),
        ("*", "*"),
        ("/status/503", "/status/{n}"),
        ("/items/5c82d8bc-2a15-9a25-81bf-c567fe990e6d/a", "/items/{uuid}/a"),
        ("/blob/DEADBEEF1", "/blob/{hex}"),
        ("/blob/deadbeef", "/blob/deadbeef"),
        ("/blob/abc123", "/blob/abc123"),
        ("/o/AbCdEfGhIjKl1234/x", "/o/{id}/x"),
        ("/o/AbCdEfGhIjKlm123/x", "/o/AbCdEfGhIjKlm123/x"),
        ("/o/ThisIsALongWordWithoutDigits", "/o/ThisIsALongWordWithoutDigits"),
        ("/v1/users/12/orders/34?page=5#top", "/v1/users/{n}/orders/{n}"),
        ("/a#/12", "/a"),
        ("/12/", "/{n}/"),
        ("//12", "//{n}"),
        ("/٣٤", "/٣٤"),
        ("/shop.Catalogue/List", "/shop.Catalogue/List"),
        ("12/34", "12/{n}"),
    ],
)
def test_path_template(path: str, expected: str) -> None:
    assert path_template(path) == expected


@given(st.uuids())
def test_request_id_is_the_uuids_bytes(value: uuid.UUID) -> None:
    assert request_id(str(value)) == request_id(str(value).upper()) == value.bytes


@pytest.mark.parametrize(
    "text", ["", "-", "abc", "5c82d8bc2a159a2581bfc567fe990e6d", "5c82d8bc-2a15-9a25-81bf-c567fe990e6d ", "g" * 36]
)
def test_other_request_ids_are_no_uuids(text: str) -> None:
    assert request_id(text) is None


@given(st.text())
def test_no_value_raises(text: str) -> None:
    cluster(text), sni(text), flags(text), address(text), details(text), path_template(text), request_id(text)
