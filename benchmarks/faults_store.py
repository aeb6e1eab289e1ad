"""What the store has of the stream, held against the stream's own record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import psycopg

from benchmarks.faults_stream import Stream
from benchmarks.load import code

SLICE: Final = 100_000  # messages whose rows are read at once

_ROWS: Final = """
SELECT (extract(epoch FROM f.at) * 1000000)::int8, d.code, extract(epoch FROM pg_xact_commit_timestamp(f.xmin))::float8
FROM fixes f JOIN devices d ON d.id = f.device
WHERE f.at >= to_timestamp(%s) AND f.at < to_timestamp(%s)"""


@dataclass
class Comparison:
    """A stretch of the stream and what is stored of it.

    Attributes:
        lost: messages that the broker had acknowledged and that are not stored.
        duplicated: rows beyond one for each message, with those that no message explains.
        out_of_order: messages that were committed before an earlier one of the same terminal.
        committed: when each message's row was committed (s since 1970), NaN without a row; shape (until - since,).
    """

    lost: int
    duplicated: int
    out_of_order: int
    committed: np.ndarray


def compare(url: str, stream: Stream, since: int, until: int) -> Comparison:
    """Hold messages ``since`` to ``until`` (exclusive) against their rows."""
    parts = [_slice(url, stream, a, min(a + SLICE, until)) for a in range(since, until, SLICE)]
    committed = np.concatenate([part.committed for part in parts]) if parts else np.empty(0)
    return Comparison(
        int((~np.isnan(stream.acked[since:until]) & np.isnan(committed)).sum()),
        sum(part.duplicated for part in parts),
        _out_of_order(committed, stream.terminals),
        committed,
    )


def _slice(url: str, stream: Stream, since: int, until: int) -> Comparison:
    half = stream.step / 2  # rows belong to the nearest message, so that one that is off is seen as one too many
    with psycopg.connect(url) as conn:
        bounds = ((stream.at(since) - half) / 1e6, (stream.at(until) - half) / 1e6)
        found = conn.execute(_ROWS, bounds).fetchall()
    at = np.fromiter((row[0] for row in found), np.int64, len(found))
    seqs = np.rint((at - stream.begin) / stream.step).astype(np.intp)
    codes = [code(terminal) for terminal in range(stream.terminals)]
    known = np.fromiter(
        (row[1] == codes[seq % stream.terminals] for row, seq in zip(found, seqs.tolist(), strict=True)),
        bool,
        len(found),
    )
    committed = np.full(until - since, np.nan)
    committed[seqs[known] - since] = np.fromiter((row[2] for row in found), float, len(found))[known]
    return Comparison(0, len(found) - int((~np.isnan(committed)).sum()), 0, committed)


def _out_of_order(committed: np.ndarray, terminals: int) -> int:
    rounds = -(-len(committed) // terminals)
    table = np.full(rounds * terminals, np.nan)
    table[: len(committed)] = committed
    table = table.reshape(rounds, terminals)
    newest = np.fmax.accumulate(table, axis=0)  # of all earlier ones of the terminal
    with np.errstate(invalid="ignore"):
        return int((table[1:] < newest[:-1]).sum())


class Alerts(NamedTuple):
    """Alerts held against the calls for help that are stored."""

    lost: int
    false: int
    duplicated: int


def alerts(url: str, stream: Stream, cries: Collection[int]) -> Alerts:
    """``cries`` are the calls for help whose messages are stored: each is to have one alert, and nothing else has."""
    wanted = {code(seq % stream.terminals) for seq in cries}
    with psycopg.connect(url) as conn:
        raised = Counter(conn.execute("SELECT rule, subject FROM alerts").fetchall())
    true = {subject: count for (rule, subject), count in raised.items() if rule == "sos" and subject in wanted}
    return Alerts(
        len(wanted) - len(true),
        sum(count for (_, subject), count in raised.items()) - sum(true.values()),
        sum(true.values()) - len(true),
    )


def positions_behind(url: str) -> int:
    """Terminals whose last position is not their newest fix."""
    with psycopg.connect(url) as conn:
        row = conn.execute(
            """SELECT count(*) FROM (SELECT device, max(at) AS at FROM fixes WHERE flags & 16 = 0 GROUP BY device) AS f
               LEFT JOIN last_positions p USING (device, at) WHERE p.device IS NULL"""
        ).fetchone()
    return int(row[0]) if row else 0


def newest_committed(url: str, stream: Stream) -> int:
    """The newest message that is stored; -1: none."""
    with psycopg.connect(url) as conn:
        row = conn.execute("SELECT (extract(epoch FROM max(at)) * 1000000)::int8 FROM last_positions").fetchone()
    return -1 if row is None or row[0] is None else round((row[0] - stream.begin) / stream.step)
