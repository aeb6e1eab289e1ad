"""Headers, other sites' orders, huge bodies."""

from __future__ import annotations

import pytest

from console.guard import from_our_pages, security_headers, tile_source


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({}, True),  # curl
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "http://desk:8080", "host": "desk:8080"}, False),
        ({"origin": "http://desk:8080", "host": "desk:8080"}, True),
        ({"origin": "https://desk.example", "host": "desk.example"}, True),  # a proxy speaks HTTPS
        ({"origin": "http://desk:8081", "host": "desk:8080"}, False),
        ({"origin": "http://evil.example", "host": "desk:8080"}, False),
        ({"origin": "null", "host": "desk:8080"}, False),
        ({"origin": "http://desk:8080.evil.example", "host": "desk:8080"}, False),
    ],
)
def test_only_our_own_pages_may_give_orders(headers: dict[str, str], ours: bool) -> None:
    assert from_our_pages(headers) is ours


@pytest.mark.parametrize(
    ("tile_url", "source"),
    [
        ("", ""),
        ("/tiles/{z}/{x}/{y}.png", ""),
        ("https://tiles.example.org/{z}/{x}/{y}.png", "https://tiles.example.org"),
        ("http://10.0.0.5:8081/{z}/{x}/{y}.png?key=1", "http://10.0.0.5:8081"),
    ],
)
def test_tile_source(tile_url: str, source: str) -> None:
    assert tile_source(tile_url) == source
    policy = security_headers(tile_url, https=False)["Content-Security-Policy"]
    directives = {d.split()[0]: d.split()[1:] for d in policy.split("; ")}
    assert directives["img-src"] == ["'self'", "data:", "blob:", *source.split()]
    assert directives["connect-src"] == ["'self'", *source.split()]
    assert directives["worker-src"] == ["'self'", "blob:"]
    assert "unsafe" not in policy
    assert "*" not in policy


@pytest.mark.parametrize(
    "tile_url",
    [
        "tiles.example.org",
        "ftp://host/{z}",
        "javascript:alert(1)",
        "https://a;script-src *",
        "https://a b/",
        "//host/{z}",
    ],
)
def test_an_address_that_would_break_the_policy_is_refused(tile_url: str) -> None:
    with pytest.raises(ValueError, match="tile address"):
        security_headers(tile_url, https=False)


def test_hsts_only_behind_https() -> None:
    assert "Strict-Transport-Security" not in security_headers("", https=False)
    assert "Strict-Transport-Security" in security_headers("", https=True)
