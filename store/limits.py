"""How long a case may take when it begins again: by the site's kinds, or the rule that opened it."""

from __future__ import annotations

from typing import Final

from psycopg import AsyncConnection

from alerts.case import Case
from alerts.categories import Categories, Limit
from store.duties import load_kinds

_RULES_OWN: Final = """
SELECT data ->> 'deadline' FROM entries WHERE case_id = %s AND seq = 1 AND data ->> 'deadline_by' = 'rule'
"""


async def usual_limit(conn: AsyncConnection, case: Case) -> Limit:
    """What a case of this kind and severity gets today; one that a rule opened with a deadline of its own, that."""
    cursor = await conn.execute(_RULES_OWN, (case.id,))
    (own,) = await cursor.fetchone() or ("",)
    return Categories(await load_kinds(conn)).limit(case.category, case.severity, own or "")
