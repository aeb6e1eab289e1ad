"""Print the Chromium that the browser tests drive, after fetching one if this host has none; see docs/adr/0003.

A missing Chromium, or one without Chinese letters, comes from this Debian's own packages, unpacked into a cache folder.
They are of the host's own suite and so share its libc: a library path is enough, and no loader of their own.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

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


def has_chinese() -> bool:
    """Whether a font of this host has Chinese letters."""
    if shutil.which("fc-list") is None:
        return False
    listed = subprocess.run(["fc-list", ":lang=zh", "file"], capture_output=True, text=True, check=False)
    return bool(listed.stdout.strip())


def private(root: Path, packages: list[str], chromium: str) -> Path:
    """A wrapper below ``root`` that runs ``chromium`` (empty: the private one) with the private libraries and fonts."""
    wrapper = root / "chromium"
    if wrapper.exists():
        return wrapper
    partial = root.with_name(f"{root.name}.partial")
    for folder in (partial, root):
        shutil.rmtree(folder, ignore_errors=True)
    fetch_host(packages, partial, with_needs=True, say=lambda line: print(line, file=sys.stderr))
    partial.rename(root)
    (root / "fonts.conf").write_text(FONT_CONFIG.format(root=root))
    libraries = [root / "usr/lib", *(root / "usr/lib").glob("*-linux-gnu"), *(root / "lib").glob("*-linux-gnu")]
    libraries += [folder / inner for folder in libraries for inner in ("nss", "pulseaudio")]
    path = ":".join(str(folder) for folder in libraries if folder.is_dir())
    lines = ["#!/bin/sh", f"export FONTCONFIG_FILE={shlex.quote(f'{root}/fonts.conf')}"]
    if not chromium:
        lines.append(f"export LD_LIBRARY_PATH={shlex.quote(path)}")
    lines.append(f'exec {shlex.quote(chromium or f"{root}/usr/lib/chromium/chromium")} "$@"')
    wrapper.write_text("\n".join(lines) + "\n")
    wrapper.chmod(0o755)
    return wrapper


def find() -> Path:
    """The Chromium to use: named by PATROLGRID_CHROMIUM, installed, or private."""
    named = os.environ.get("PATROLGRID_CHROMIUM")
    if named:
        if not os.access(named, os.X_OK):
            raise NoPackagesError(f"PATROLGRID_CHROMIUM={named} is no program")
        return Path(named)
    installed = shutil.which("chromium") or ""
    if installed and has_chinese():
        return Path(installed)
    cache = cache_folder(Path(".patrolgrid"))
    with locked(cache / "chromium.lock"):
        if installed:
            return private(cache / "chromium-fonts", [FONT], installed)
        return private(cache / f"chromium-{os.uname().machine}", ["chromium", FONT], "")


if __name__ == "__main__":
    try:
        print(find())
    except NoPackagesError as error:
        sys.exit(
            f"no Chromium for the browser tests: {error}\nName one: make test PATROLGRID_CHROMIUM=/path/to/chromium"
        )
