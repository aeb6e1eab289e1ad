"""Print, as lines for a shell, the Chromium that the browser tests drive, after fetching what this host lacks.

What is missing (Chromium, a font with Chinese letters, a library of Playwright's driver) comes from this Debian's own
packages, unpacked into a cache folder; see docs/adr/0003. They are of the host's own suite and so share its libc: a
library path is enough, and no loader of their own.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import playwright

from server.debian import NoPackagesError, fetch_host
from server.private import cache_folder, locked

FONT = "fonts-wqy-microhei"
FONT_CONFIG = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>{root}/usr/share/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>{root}/fontconfig-cache</cachedir>
</fontconfig>
"""


def fetched(root: Path, *packages: str) -> Path:
    """``root`` with the packages and their needs in it."""
    if not root.exists():
        partial = root.with_name(f"{root.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        fetch_host(packages, partial, with_needs=True, say=lambda line: print(line, file=sys.stderr))
        partial.rename(root)
    return root


def wrapper(name: str, program: Path, settings: Mapping[str, str]) -> Path:
    """A program ``name`` of this checkout's own that runs ``program`` with environment ``settings``."""
    file = Path(".patrolgrid/browser").absolute() / name
    file.parent.mkdir(parents=True, exist_ok=True)
    exports = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
    file.write_text("\n".join(["#!/bin/sh", *exports, f'exec {shlex.quote(str(program))} "$@"']) + "\n")
    file.chmod(0o755)
    return file


def library_path(root: Path) -> str:
    """The library folders below ``root``."""
    folders = [*root.glob("usr/lib/*-linux-gnu"), *root.glob("lib/*-linux-gnu")]
    return ":".join(str(place) for folder in folders for place in (folder, folder / "nss", folder / "pulseaudio"))


def chinese_letters(cache: Path) -> dict[str, str]:
    """What lets a browser find Chinese letters: nothing where the host has them, else a fetched font."""
    if shutil.which("fc-list") is not None:
        listed = subprocess.run(["fc-list", ":lang=zh", "file"], capture_output=True, text=True, check=False)
        if listed.stdout.strip():
            return {}
    root = fetched(cache / "fonts", FONT)
    (root / "fonts.conf").write_text(FONT_CONFIG.format(root=root))
    return {"FONTCONFIG_FILE": f"{root}/fonts.conf"}


def chromium(cache: Path) -> Path:
    """The Chromium to use: named by PATROLGRID_CHROMIUM, installed, or fetched."""
    named = os.environ.get("PATROLGRID_CHROMIUM")
    if named:
        if not os.access(named, os.X_OK):
            raise NoPackagesError(f"PATROLGRID_CHROMIUM={named} is no program")
        return Path(named)
    settings = chinese_letters(cache)
    installed = shutil.which("chromium")
    if installed:
        return wrapper("chromium", Path(installed), settings) if settings else Path(installed)
    root = fetched(cache / f"chromium-{os.uname().machine}", "chromium")
    settings["LD_LIBRARY_PATH"] = library_path(root)
    return wrapper("chromium", root / "usr/lib/chromium/chromium", settings)


def driver(cache: Path) -> dict[str, str]:
    """What lets Playwright's own Node.js start: nothing where the host has libatomic, else a wrapper that has it."""
    try:
        ctypes.CDLL("libatomic.so.1")
    except OSError:
        node = Path(playwright.__file__).parent / "driver" / "node"
        settings = {"LD_LIBRARY_PATH": library_path(fetched(cache / f"driver-{os.uname().machine}", "libatomic1"))}
        return {"PLAYWRIGHT_NODEJS_PATH": str(wrapper("node", node, settings))}
    return {}


def main() -> None:
    """Print one ``export`` line per variable."""
    cache = cache_folder(Path(".patrolgrid")) / "browser"
    cache.mkdir(exist_ok=True)
    with locked(cache / "lock"):
        found = {"PATROLGRID_CHROMIUM": str(chromium(cache)), **driver(cache)}
    for name, value in found.items():
        print(f"export {name}={shlex.quote(value)}")


if __name__ == "__main__":
    try:
        main()
    except NoPackagesError as error:
        sys.exit(f"no browser for the tests: {error}\nName a Chromium: make test PATROLGRID_CHROMIUM=/path/to/chromium")
