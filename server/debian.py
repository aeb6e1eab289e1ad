"""Debian packages in a private folder: found at the host's own mirror, unpacked unprivileged, nothing installed.

Packages of a newer Debian than the host's run through their own loader (:func:`wrap`); the host's libc stays as it is.
Set-up code that the command line runs before any event loop exists; therefore plain subprocesses and no asyncio.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

Say = Callable[[str], None]
"""Takes one line on what is being done now, for a progress display."""

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_DEBIAN_SUITES = re.compile(
    r"^(bullseye|bookworm|trixie|forky|duke|sid|stable|oldstable|testing|unstable)(-updates|-backports|-security)?$"
)
_LEFT_OUT = ("*/share/doc/*", "*/share/man/*", "*/share/locale/*", "*/bitcode/*", "*llvmjit*", "*/share/lintian/*")


class NoPackagesError(RuntimeError):
    """The packages cannot be had here; the message says why and what to do instead."""


@dataclass(frozen=True)
class Source:
    """One entry of the host's apt sources."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""
    binary: bool = True
    enabled: bool = True

    def lines(self) -> list[str]:
        """This entry in one-line style; a key that stands in the file itself is left to the host's trusted keys."""
        option = f"[signed-by={self.signed_by}] " if self.signed_by.startswith("/") else ""
        components = " ".join(self.components)
        return [f"deb {option}{uri} {suite} {components}" for uri in self.uris for suite in self.suites]

    @property
    def debian(self) -> bool:
        """Whether this entry names Debian itself, by its suites and its component main."""
        named = bool(self.suites) and all(_DEBIAN_SUITES.match(suite) for suite in self.suites)
        return self.binary and self.enabled and named and "main" in self.components


def parse_list(text: str) -> list[Source]:
    """Entries of a one-line-style ``sources.list``; other lines are passed over, as apt itself would refuse them."""
    found = []
    for line in text.splitlines():
        match = re.match(r"^\s*(deb|deb-src)\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)((?:\s+[^#\s]\S*)*)", line)
        if match:
            kind, options, uri, suite, components = match.groups()
            pairs = dict(option.split("=", 1) for option in (options or "").split() if "=" in option)
            signed_by = {name.lower(): value for name, value in pairs.items()}.get("signed-by", "")
            found.append(Source((uri,), (suite,), tuple(components.split()), signed_by, kind == "deb"))
    return found


def parse_deb822(text: str) -> list[Source]:
    """Entries of a deb822-style ``.sources`` file (fields may go on over indented lines; ``#`` lines are comments)."""
    found = []
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", kept):
        fields: dict[str, str] = {}
        for match in re.finditer(r"^([A-Za-z-]+):(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE):
            fields[match[1].lower()] = match[2].strip()
        if "uris" in fields:
            found.append(
                Source(
                    uris=tuple(fields["uris"].split()),
                    suites=tuple(fields.get("suites", "").split()),
                    components=tuple(fields.get("components", "").split()),
                    signed_by=fields.get("signed-by", ""),
                    binary="deb" in fields.get("types", "deb").split(),
                    enabled=fields.get("enabled", "yes").lower() not in ("no", "false", "0", "off"),
                )
            )
    return found


def host_sources(folder: Path = Path("/etc/apt")) -> list[Source]:
    """The Debian entries among this host's apt sources."""
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]
    found: list[Source] = []
    for file in files:
        if file.suffix in (".list", ".sources") and file.is_file():
            parse = parse_deb822 if file.suffix == ".sources" else parse_list
            found += parse(file.read_text(errors="replace"))
    return [source for source in found if source.debian]


def mirrors(sources: Iterable[Source]) -> list[str]:
    """Addresses that may hold other Debian suites too, the likeliest first: security archives never do."""
    plain: dict[str, None] = {}
    for source in sources:
        if not all(suite.endswith("-security") for suite in source.suites):
            plain.update(dict.fromkeys(uri.rstrip("/") for uri in source.uris if not uri.startswith("cdrom:")))
    return sorted(plain, key=lambda uri: "debian" not in uri.rsplit("/", 1)[-1])


class PrivateApt:
    """apt with its lists, cache and sources in a folder of its own; the host's proxies and certificates still count.

    Args:
        folder: where the private state goes.
        lines: its sources, in one-line style.
        status: the dpkg status that packages are resolved against; none: everything counts as missing.
    """

    def __init__(self, folder: Path, lines: Iterable[str], *, status: str = "/dev/null") -> None:
        self.folder = folder.resolve()
        self.lines = tuple(lines)
        self.status = status

    def update(self) -> None:
        """Read the mirror's package lists."""
        for part in ("lists/partial", "cache/archives/partial"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        (self.folder / "sources.list").write_text("\n".join(self.lines) + "\n")
        # The host's configuration is left out, as its hooks (Post-Invoke) act on the host, except for its network part.
        network = _run(["apt-config", "dump", "Acquire"])
        (self.folder / "apt.conf").write_text(
            network
            + f"""
Dir::Etc::parts "/dev/null";
Dir::Etc::main "/dev/null";
Dir::Etc::sourcelist "{self.folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "{self.folder}/lists";
Dir::State::status "{self.status}";
Dir::Cache "{self.folder}/cache";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::Retries "3";
Debug::NoLocking "1";
APT::Install-Recommends "0";
APT::Sandbox::User "root";
"""
        )
        self._apt("update", "--error-on=any")

    def needed(self, packages: Iterable[str]) -> list[str]:
        """Names of the packages that an installation of ``packages`` would bring."""
        return re.findall(r"^Inst (\S+)", self._apt("-s", "install", *packages), re.MULTILINE)

    def download(self, packages: Iterable[str], into: Path) -> list[Path]:
        """The ``.deb`` files of ``packages``."""
        into.mkdir(parents=True, exist_ok=True)
        self._apt("download", *packages, cwd=into)
        return sorted(into.glob("*.deb"))

    def _apt(self, *arguments: str, cwd: Path | None = None) -> str:
        return _run(["apt-get", "-q", *arguments], env={"APT_CONFIG": f"{self.folder}/apt.conf"}, cwd=cwd)


def require_apt(what: str) -> None:
    """Refuse where Debian's tools are missing.

    Raises:
        NoPackagesError: ``apt-get``, ``dpkg-deb`` or ``tar`` is not on the PATH.
    """
    missing = [tool for tool in ("apt-get", "apt-config", "dpkg-deb", "tar") if shutil.which(tool) is None]
    if missing:
        raise NoPackagesError(
            f"{what} come from Debian packages, and this host has no {', '.join(missing)}. "
            "Start them with `docker compose up` instead, or set PATROLGRID_DATABASE_URL and PATROLGRID_MQTT_URL."
        )


def fetch_suite(
    suite: str, packages: Iterable[str], skip: re.Pattern[str], into: Path, *, mirror: str, say: Say
) -> None:
    """Unpack ``packages`` of a Debian suite and what they need, without the names that ``skip`` matches, into ``into``.

    ``mirror`` empty: the mirrors of the host's own apt sources are tried in turn.

    Raises:
        NoPackagesError: no mirror is known, none answers, or none holds the packages.
    """
    candidates = [mirror] if mirror else mirrors(host_sources())
    if not candidates:
        raise NoPackagesError(
            "no Debian mirror among this host's apt sources: "
            "set PATROLGRID_DEBIAN_MIRROR to one, or use `docker compose up`"
        )
    failures = []
    into.mkdir(parents=True, exist_ok=True)
    for candidate in candidates:
        with TemporaryDirectory(prefix=".apt-", dir=into) as folder:
            say(f"Reading the package list of Debian {suite}")
            apt = PrivateApt(Path(folder), [f"deb [signed-by={KEYRING}] {candidate} {suite} main"])
            try:
                apt.update()
                names = [name for name in apt.needed(packages) if not skip.match(name)]
                say(f"Downloading {len(names)} packages of Debian {suite}")
                unpack(apt.download(names, Path(folder) / "debs"), into, say=say)
            except NoPackagesError as error:
                failures.append(f"{candidate}: {error}")
                continue
            return
    raise NoPackagesError(
        f"no mirror gave the packages of Debian {suite}; `docker compose up` does without.\n  " + "\n  ".join(failures)
    )


def fetch_host(packages: Iterable[str], into: Path, *, with_needs: bool, say: Say) -> None:
    """Unpack ``packages`` of this host's own Debian into ``into``; with what they need and the host lacks, if so told.

    Raises:
        NoPackagesError: the host is no Debian, or its mirror does not answer or lacks a package.
    """
    wanted = list(packages)
    require_apt(", ".join(wanted))
    lines = [line for source in host_sources() for line in source.lines() if not line.startswith("deb cdrom:")]
    if not lines:
        raise NoPackagesError(f"no Debian mirror among this host's apt sources to get {', '.join(wanted)} from")
    into.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".apt-", dir=into) as folder:
        say("Reading the package lists of this Debian")
        apt = PrivateApt(Path(folder), lines, status="/var/lib/dpkg/status")
        apt.update()
        names = apt.needed(wanted) if with_needs else wanted
        say(f"Downloading {len(names)} packages of this Debian")
        unpack(apt.download(names, Path(folder) / "debs"), into, say=say)


def unpack(files: Iterable[Path], into: Path, *, say: Say) -> None:
    """Lay the files of ``.deb`` packages into a folder; no scripts of theirs are run."""
    excludes = [f"--exclude={pattern}" for pattern in _LEFT_OUT]
    for file in files:
        say(f"Unpacking {file.name.split('_')[0]}")
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", file], stdout=subprocess.PIPE) as archive:
            tar = ["tar", "-x", "--no-same-owner", *excludes, "-C", str(into)]
            result = subprocess.run(tar, stdin=archive.stdout, stderr=subprocess.PIPE, text=True, check=False)
        if result.returncode or archive.returncode:
            raise NoPackagesError(f"cannot unpack {file.name}: {result.stderr.strip()}")


def wrap(binary: Path, root: Path, final_root: Path) -> None:
    """Let ``binary`` run through the loader and libraries of ``root``, which will be moved to ``final_root``.

    The library path is given to the loader and not by LD_LIBRARY_PATH, which would reach (and break) the host's own sh.
    """
    loader = next(root.glob("usr/lib/*/ld-linux*.so.*"), None) or next(root.glob("usr/lib*/ld-linux*.so.*"))
    libraries = final_root / loader.parent.relative_to(root)
    real = binary.with_name(f".real.{binary.name}")
    binary.rename(real)
    at = {name: final_root / path.relative_to(root) for name, path in (("shown", binary), ("real", real))}
    words = [libraries / loader.name, "--library-path", libraries, "--argv0", at["shown"], at["real"]]
    binary.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, words))} "$@"\n')
    binary.chmod(0o755)


def _run(command: list[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    given = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive", **(env or {})}
    result = subprocess.run(command, env=given, cwd=cwd, capture_output=True, text=True, check=False)
    if result.returncode:
        raise NoPackagesError(f"`{shlex.join(command[:3])}` failed: {(result.stderr or result.stdout).strip()[-2000:]}")
    return result.stdout


if __name__ == "__main__":  # for the Makefile, before anything of PatrolGrid is installed
    try:
        fetch_host(sys.argv[2:], Path(sys.argv[1]), with_needs=False, say=lambda line: print(line, file=sys.stderr))
    except NoPackagesError as error:
        sys.exit(str(error))
