"""The file of a case to be read and filed: facts, map, timeline, alerts, notices, pictures, how to check it. Pure.

What decides is ``case.json`` beside it, which is whole; here long evidence is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal

from reportlab.lib.units import mm
from reportlab.platypus import CondPageBreak, Flowable, KeepTogether, Spacer, Table

from alerts.case_file import CaseFile, Photo, Track
from alerts.case_map import COLOURS, case_map
from alerts.case_words import Words, facts_of, line_of, notice_state, said_of
from alerts.letter import shown
from alerts.pdf_pages import ROOM, Edges, Swatch, gallery, listing, pairs, printed, write_pages
from alerts.pdf_text import MUTED, Heading, paragraph, style

Language = Literal["zh", "en"]
MAP: Final = (ROOM, 88 * mm)
PICTURE: Final = (ROOM / 2 - 3 * mm, 70 * mm)
_MOST_NOTICES: Final = 200
_NUMBERS: Final = "一二三四五六七八九十"


def case_pdf(file: CaseFile, lang: Language, key: str, read: Callable[[Photo], bytes]) -> bytes:
    """The file of a case in one language. ``key`` is the public key that signs the export, 64 hex digits.

    ``read`` gives a picture's content. Takes a second or so, and longer with many pictures: call it in a thread.
    """
    words = Words(lang, file)
    when = shown(file.exported_at)
    edges = Edges(
        lang=lang,
        title=f"{words('事件卷宗', 'Case file')} {file.case.number}",
        subject=words(file.case.title.zh, file.case.title.en),
        author=words(file.site.name, file.site.name_en),
        footer=words(f"{when} 由 {file.exported_by} 导出", f"Exported {when} by {file.exported_by}"),
    )
    return write_pages(_story(words, key, read), edges)


def _story(words: Words, key: str, read: Callable[[Photo], bytes]) -> Iterator[Flowable]:
    file, lang = words.file, words.lang
    sections = iter(range(20))

    def heading(zh: str, en: str) -> Heading:
        number = next(sections)
        return Heading(words(f"{_NUMBERS[number]}、{zh}", f"{number + 1}  {en}"), 12)

    yield paragraph(words(file.site.name, file.site.name_en), style(11, lang, colour=MUTED, centred=True))
    yield Heading(words("案 件 卷 宗", "Case file"), 24, bar=False, centred=True)
    yield paragraph(file.case.number, style(11, lang, colour=MUTED, centred=True))
    yield Spacer(0, 5 * mm)
    yield paragraph(words(file.case.title.zh, file.case.title.en), style(13, lang))
    yield Spacer(0, 2 * mm)
    yield heading("基本情况", "Facts")
    yield pairs(facts_of(words), lang)
    yield from _left_out(words)
    yield from _map(words, heading)
    parts: list[tuple[int, str, str, Callable[[], list[Flowable]]]] = [  # with the room that the first lines need
        (45, "办理经过", "Timeline", lambda: [_timeline(words)]),
        (45, "预警与依据", "Alerts", lambda: [_alerts(words)] if file.alerts else []),
        (100, "现场图片", "Pictures", lambda: _pictures(words, read) if file.photos else []),
        (45, "通知记录", "Notices", lambda: [_notices(words)] if file.notices else []),
    ]
    for needed, zh, en, made in parts:
        if content := made():
            yield CondPageBreak(needed * mm)
            yield heading(zh, en)
            yield from content
    yield KeepTogether([heading("完整性", "Integrity"), *_integrity(words, key), *_signatures(words)])


def _left_out(words: Words) -> Iterator[Flowable]:
    if words.file.left_out:
        listed = words.join(words(zh, en) for zh, en in words.file.left_out)
        text = words(f"因导出人权限未包含：{listed}。", f"Left out, as the exporter may not see it: {listed}.")
        yield Spacer(0, 2 * mm)
        yield paragraph(text, style(9, words.lang, colour=MUTED))


def _map(words: Words, heading: Callable[[str, str], Heading]) -> Iterator[Flowable]:
    file, case = words.file, words.file.case
    place = None if case.lon is None or case.lat is None else (case.lon, case.lat)
    alerts = [(alert.lon, alert.lat) for alert in file.alerts if abs(alert.lon) <= 180 and abs(alert.lat) <= 90]
    drawing = case_map(place, alerts, file.tracks, file.site, MAP, words.lang)
    if drawing is None:
        return
    explained = words(
        "红色圆圈为事发地，橙色三角为预警位置；空心点为轨迹起点，点旁为时刻；相隔 5 分钟以上的定位点之间以虚线相连。"
        "底图为本站点登记的区域，坐标为 WGS-84 经纬度。",
        "Red circle: where it happened. Orange triangle: an alert's place. A hollow dot begins a track, times stand"
        " beside the dots; fixes more than 5 minutes apart are joined by dashes. Ground: the zones of this site;"
        " degrees WGS-84.",
    )
    notes = [
        Swatch(COLOURS[n % len(COLOURS)], _track_words(words, track), words.lang) for n, track in enumerate(file.tracks)
    ]
    look = style(8, words.lang, colour=MUTED)
    title = heading("现场位置与处置轨迹", "Place and tracks")
    yield KeepTogether([title, drawing, Spacer(0, 1.5 * mm), *notes, paragraph(explained, look)])


def _track_words(words: Words, track: Track) -> str:
    since, until, count = shown(track.span.since), shown(track.span.until), len(track.at)
    name = words(track.name, track.name_en)
    return words(
        f"{name}（{track.span.terminal}）：{since} 至 {until}，{count} 个定位点",
        f"{name} ({track.span.terminal}): {since} to {until}, {count} fixes",
    )


def _timeline(words: Words) -> Table:
    look, small = style(8.5, words.lang), style(7, "zh", colour=MUTED)
    heads = words.heads(
        ("序号", "#"), ("时间", "Time"), ("经办", "By"), ("环节", "Step"), ("内容", "What"), ("哈希", "Hash")
    )
    rows = []
    for entry in words.file.entries:
        when = shown(entry.at).replace(" ", "\n")
        cells = (str(entry.seq), when, words.actor(entry), line_of(words, entry), said_of(words, entry))
        rows.append([*(paragraph(cell, look) for cell in cells), paragraph(entry.hash.hex()[:8], small)])
    return listing(heads, rows, [10 * mm, 20 * mm, 20 * mm, 24 * mm, ROOM - 90 * mm, 16 * mm])


def _alerts(words: Words) -> Table:
    look = style(8.5, words.lang)
    heads = words.heads(("编号", "No."), ("时间", "Time"), ("规则", "Rule"), ("内容", "What"), ("次数", "Count"))
    rows = []
    for alert in words.file.alerts:
        what = words(alert.sentence.zh, alert.sentence.en)
        when = f"{shown(alert.first_seen)}\n{shown(alert.last_seen)}"
        rows.append(
            [paragraph(cell, look) for cell in (str(alert.id), when, words.rule(alert.rule), what, str(alert.count))]
        )
    return listing(heads, rows, [14 * mm, 30 * mm, 28 * mm, ROOM - 86 * mm, 14 * mm])


def _notices(words: Words) -> Table:
    look = style(8.5, words.lang)
    rows = []
    for notice in words.file.notices[:_MOST_NOTICES]:
        zh, _, en = notice.reason.partition(" / ")
        named = words.device if notice.channel == "terminal" else words.unit
        to = named(notice.target) + (f"\n{notice.via}" if notice.via else "")
        made = shown(notice.created).replace(" ", "\n") if notice.created else ""
        rows.append([paragraph(cell, look) for cell in (made, to, words(zh, en or zh), notice_state(words, notice))])
    heads = words.heads(("时间", "Time"), ("对象", "To"), ("事由", "Why"), ("结果", "Outcome"))
    return listing(heads, rows, [20 * mm, 38 * mm, ROOM - 102 * mm, 44 * mm])


def _pictures(words: Words, read: Callable[[Photo], bytes]) -> list[Flowable]:
    """Two in a row, each with the entry that shows it and its hash."""
    small = style(7.5, "zh", colour=MUTED)
    entries = {entry.seq: entry for entry in words.file.entries}
    cells = []
    for photo in words.file.photos:
        entry = entries[photo.seq]
        caption = words(
            f"第 {photo.seq} 条，{shown(entry.at)}，{words.actor(entry)}，{photo.width}×{photo.height} 像素",
            f"Entry {photo.seq}, {shown(entry.at)}, {words.actor(entry)}, {photo.width}×{photo.height} pixels",
        )
        cells.append(
            [printed(read(photo), PICTURE), Spacer(0, mm), paragraph(f"{caption}\nsha256 {photo.sha256}", small)]
        )
    whole = words("原图在导出包的 attachments 中。", "The whole pictures are in attachments of the export.")
    return [*gallery(cells), paragraph(whole, small)]


def _integrity(words: Words, key: str) -> Iterator[Flowable]:
    file = words.file
    last, line = file.entries[-1], file.ledger[-1]
    text = words(
        "本卷宗是签名导出包的一部分。办理记录逐条以哈希相链，导出包中每个文件的 sha256 列于 manifest.json，其签名在"
        " manifest.sig。使用 patrolgrid evidence check 可离线核验，任何一个字节被改动都会被指出。",
        "This file is part of a signed export. The entries are chained by their hashes; manifest.json lists the sha256"
        " of every file of the export, and manifest.sig is its signature. patrolgrid evidence check verifies it without"
        " any database, and names whatever byte was changed.",
    )
    yield paragraph(text, style(9, words.lang))
    yield Spacer(0, 2 * mm)
    facts = (
        (words("最后一条记录", "Last entry"), f"{last.seq}:{last.hash.hex()}"),
        (words("总账", "Ledger"), f"{line.position}:{line.hash.hex()}"),
        (words("签名公钥", "Public key"), key),
        (words("导出", "Exported"), f"{shown(file.exported_at)}  {file.exported_by}"),
    )
    yield pairs(facts, words.lang, columns=1, size=8)


def _signatures(words: Words) -> Iterator[Flowable]:
    """Lines to sign on, for the paper that is filed."""
    yield Spacer(0, 12 * mm)
    look = style(9.5, words.lang)
    labels = words.heads(
        ("经办人：", "Handled by:"),
        ("审核人：", "Checked by:"),
        ("单位（盖章）：", "Office (seal):"),
        ("日期：", "Date:"),
    )
    yield Table([[paragraph(label, look) for label in labels]], colWidths=[ROOM / 4] * 4)
