"""The page of reports on a phone, and the worker that keeps it there: what the page is made of, and which version."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

SHELL: Final = (
    "/report",
    "/static/api.js",
    "/static/css/parts.css",
    "/static/css/report.css",
    "/static/css/tokens.css",
    "/static/dom.js",
    "/static/favicon.svg",
    "/static/format.js",
    "/static/i18n.js",
    "/static/prefs.js",
    "/static/report/app.webmanifest",
    "/static/report/form.js",
    "/static/report/line.js",
    "/static/report/main.js",
    "/static/report/own.js",
    "/static/report/photo.js",
    "/static/report/place.js",
    "/static/report/place_map.js",
    "/static/report/queue.js",
    "/static/report/send.js",
    "/static/state.js",
    "/static/theme.js",
)
"""Everything the page needs to open without a line; tests/console/test_report_page.py follows its imports."""


def report_worker(static: Path) -> str:
    """The service worker's script. Whenever a file of the page changes it is another, so that phones fetch all anew."""
    digest = hashlib.sha256()
    for path in SHELL:
        file = static / ("report.html" if path == "/report" else path.removeprefix("/static/"))
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    script = (static / "report_worker.js").read_text("utf-8")
    shell = ", ".join(json.dumps(path) for path in SHELL)
    return script.replace('"SERVER:SHELL"', shell).replace("SERVER:VERSION", digest.hexdigest()[:16])
