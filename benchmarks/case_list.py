"""The list of cases at a million, as the console asks for it: the real app over HTTP, on a database of its own.

python -m benchmarks.case_list [--quick]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

import psycopg
from rich.progress import Progress

from benchmarks.lists import console_on, measured, say, show

CASES: Final = 1_000_000
NOT_ENDED: Final = 6_000
PORTION: Final = 50_000  # cases in one statement

# Five years of a busy county: the newest are still being worked on, the others have ended; 40 units, 693 grids and 24
# kinds. A case each 150 s is 576 a day, so a day's numbers are distinct.
MADE: Final = """
INSERT INTO cases (number, category, title, title_en, severity, status, area, unit, lon, lat, opened_at, due_at,
    closed_at, supervision, resolution)
SELECT format('PG-%%s-%%s', to_char(at, 'YYYYMMDD'), lpad(mod(n, 576)::text, 4, '0')), 'kind-' || mod(n, 24),
    (ARRAY['禁渔区垂钓', '井盖缺失', '占道经营', '噪声扰民', '路灯不亮', '垃圾堆放', '树木倒伏'])[1 + mod(n, 7)] || '：'
        || (ARRAY['北岸', '东港镇', '青蒲村', '柳湾村', '集市', '码头'])[1 + mod(n / 7, 6)] || mod(n, 997),
    (ARRAY['Angling in the ban zone', 'Manhole cover missing', 'Street stall', 'Noise', 'Street light out', 'Rubbish',
           'Tree fallen'])[1 + mod(n, 7)] || ' ' || mod(n, 997),
    (ARRAY['low', 'medium', 'high'])[1 + mod(n / 24, 3)],
    CASE WHEN live THEN (ARRAY['reported', 'opened', 'dispatched', 'handling', 'fed_back', 'verified'])[1 + mod(n, 6)]
        ELSE CASE WHEN mod(n, 25) = 0 THEN 'void' ELSE 'closed' END END,
    areas.code, CASE WHEN live AND mod(n, 20) = 0 THEN NULL ELSE 'unit-' || mod(n, 40) END,
    118.7 + mod(n, 1000) * 0.0003, 31.3 + mod(n / 1000, 1000) * 0.0003, at, at + interval '2 days',
    CASE WHEN live THEN NULL ELSE at + interval '1 day' END,
    CASE WHEN live AND mod(n, 9) = 0 THEN 1 + mod(n, 3) ELSE 0 END, CASE WHEN live THEN '' ELSE 'on_spot' END
FROM (
    SELECT n, n > %(cases)s - %(open)s AS live, now() - make_interval(secs => (%(cases)s - n) * 150.0) AS at
    FROM generate_series(%(first)s, %(last)s) n
) made JOIN (
    SELECT code, row_number() OVER (ORDER BY md5(code)) - 1 AS place FROM areas WHERE level = 'grid'
) areas ON areas.place = mod(n, 693)
"""
QUESTIONS: Final[dict[str, tuple[str, str]]] = {
    "the newest": ("admin", ""),
    "opened": ("admin", "status=opened"),
    "being worked on, 200": ("admin", "status=opened&status=dispatched&status=handling&limit=200"),
    "overdue": ("admin", "overdue=true"),
    "a unit's": ("admin", "unit=unit-9"),
    "a unit's open": ("admin", "unit=unit-9&status=opened"),
    "ownership unclear": ("admin", "unit=-"),
    "a kind": ("admin", "category=kind-3"),
    "a kind, high": ("admin", "category=kind-3&severity=high"),
    "a village's": ("admin", "area=330900001200"),
    "supervised": ("admin", "supervision=1"),
    "by words": ("admin", "q=%E4%BA%95%E7%9B%96"),
    "by words that are rare": ("admin", "q=%E5%8C%97%E5%B2%B8996"),
    "by the end of a number": ("admin", "q=0007"),
    "a street's desk": ("street", ""),
    "a village's desk, open": ("village", "status=opened"),
    "a unit's own": ("unit", ""),
    "a page from the middle": ("admin", "before=500000"),
    "closed, from long ago": ("admin", "status=closed&before=20000"),
}


def case_list(data_dir: Path = Path(".patrolgrid/bench"), asks: int = 60) -> dict[str, Any]:
    """Milliseconds for a page of the list of cases, by question, with a million cases of which 6,000 have not ended."""
    with console_on(data_dir, _fill) as asked:
        return measured(asked, "/api/v1/cases", QUESTIONS, asks, {"cases": CASES, "not_ended": NOT_ENDED})


def _fill(conn: psycopg.Connection) -> None:
    """A million cases by portions, told as it goes. The indexes are built afterwards: row by row they take minutes."""
    indexes = conn.execute(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
        " WHERE indrelid = 'cases'::regclass AND NOT indisunique"
    ).fetchall()
    conn.execute("SET maintenance_work_mem = '256MB'")
    conn.execute("SET synchronous_commit = off")
    with Progress(console=say) as progress:
        rows = progress.add_task("cases", total=CASES)
        for name, _ in indexes:
            conn.execute(f"DROP INDEX {name}".encode())
        for first in range(1, CASES + 1, PORTION):
            last = min(first + PORTION - 1, CASES)
            conn.execute(MADE, {"cases": CASES, "open": NOT_ENDED, "first": first, "last": last})
            progress.update(rows, completed=last)
        built = progress.add_task("indexes", total=len(indexes))
        for _, definition in indexes:
            conn.execute(definition)
            progress.advance(built)


def main() -> None:
    """Measure, show, and print one JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer requests")
    given = parser.parse_args()
    found = case_list(asks=20 if given.quick else 60)
    show(found)
    print(json.dumps({"case_list": found}))
    sys.exit(0 if found["holds"] else 1)


if __name__ == "__main__":
    main()
