"""Which mirror is taken from the host's apt sources, in both of their formats."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.debian import (
    NoPackagesError,
    PrivateApt,
    Source,
    fetch_suite,
    host_sources,
    mirrors,
    parse_deb822,
    parse_list,
    require_apt,
)

NOTHING = re.compile(r"(?!)")

ONE_LINE = """
# deb cdrom:[Debian GNU/Linux 12.5.0 _Bookworm_ - Official amd64 NETINST]/ bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/debian.gpg] https://mirror.example.org/debian/ bookworm main contrib # x
deb-src http://mirror.example.org/debian bookworm main
deb http://security.example.org/debian-security bookworm-security main
deb http://mirror.example.org/debian bookworm-updates main
deb https://packages.example.com/apt cloud-sdk-bookworm main
deb [signed-by=/usr/share/keyrings/docker.gpg] https://download.example.com/linux/debian bookworm stable
"""

DEB822 = """# as the installer wrote it
Types: deb deb-src
URIs: http://mirror.example.org/debian
Suites: bookworm bookworm-updates
Components: main non-free-firmware
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://security.example.org/debian-security
Suites: bookworm-security
Components: main

Types: deb
URIs: https://old.example.org/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb
URIs: https://node.example.com/node_20.x
Suites: nodistro
Components: main
"""


def test_one_line_format_with_options_and_a_comment() -> None:
    first = parse_list(ONE_LINE)[0]
    assert first == Source(
        ("https://mirror.example.org/debian/",),
        ("bookworm",),
        ("main", "contrib"),
        "/usr/share/keyrings/debian.gpg",
    )
    assert first.debian


def test_only_debian_itself_counts_and_each_mirror_once() -> None:
    found = [source for source in parse_list(ONE_LINE) if source.debian]
    assert mirrors(found) == ["https://mirror.example.org/debian", "http://mirror.example.org/debian"]


def test_deb822_format_without_what_is_switched_off() -> None:
    entries = parse_deb822(DEB822)
    assert [entry.debian for entry in entries] == [True, True, False, False]
    assert mirrors(entry for entry in entries if entry.debian) == ["http://mirror.example.org/debian"]


def test_deb822_fields_go_on_over_lines_and_keys_may_stand_in_the_file() -> None:
    text = """Types: deb
URIs:
 https://a.example.org/debian
 https://b.example.org/debian
Suites: trixie
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBFwy
 -----END PGP PUBLIC KEY BLOCK-----
"""
    (entry,) = parse_deb822(text)
    assert entry.uris == ("https://a.example.org/debian", "https://b.example.org/debian")
    assert "mQINBFwy" in entry.signed_by
    assert entry.debian


def test_a_mirror_whose_path_ends_in_debian_comes_first() -> None:
    other = Source(("https://deb.example.org/tools",), ("bookworm",), ("main",))
    plain = Source(("https://proxy.example.org/artifact/debian",), ("bookworm",), ("main",))
    assert mirrors([other, plain]) == ["https://proxy.example.org/artifact/debian", "https://deb.example.org/tools"]


def test_cdrom_and_source_entries_are_no_mirrors() -> None:
    text = "deb cdrom:[Debian]/ bookworm main\ndeb-src http://mirror.example.org/debian bookworm main\n"
    assert mirrors(source for source in parse_list(text) if source.debian) == []


def test_both_formats_are_read_from_the_folder_and_other_files_are_not(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb http://one.example.org/debian bookworm main\n")
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    (tmp_path / "sources.list.d" / "debian.sources.save").write_text("deb http://saved.example.org/debian sid main\n")
    assert mirrors(host_sources(tmp_path)) == ["http://one.example.org/debian", "http://mirror.example.org/debian"]


@given(st.text(alphabet=st.sampled_from("deb ht:/[]=\n#.maintrixe-URIs:Suites:\t"), max_size=200))
def test_no_text_breaks_the_parsers(text: str) -> None:
    for source in parse_list(text) + parse_deb822(text):
        assert isinstance(source.debian, bool)


def test_a_host_without_apt_is_sent_to_docker_compose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoPackagesError, match=r"no apt-get, apt-config, dpkg-deb, tar\. .*`docker compose up`"):
        require_apt("The private TimescaleDB and Mosquitto")


def test_a_mirror_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoPackagesError) as refused:
        fetch_suite(
            "trixie",
            ["mosquitto"],
            skip=NOTHING,
            into=tmp_path,
            mirror="http://127.0.0.1:9/debian",
            say=lambda line: None,
        )
    assert "http://127.0.0.1:9/debian" in str(refused.value)
    assert "docker compose up" in str(refused.value)


def test_apt_s_private_state_names_only_its_own_folder(tmp_path: Path) -> None:
    apt = PrivateApt(tmp_path, ["deb [trusted=yes] file:/nonexistent ./"])
    with pytest.raises(NoPackagesError, match="apt-get"):
        apt.update()
    written = (tmp_path / "apt.conf").read_text()
    assert f'Dir::State::lists "{tmp_path}/lists";' in written
    assert "Post-Invoke" not in written
