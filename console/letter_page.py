"""A letter of supervision as a page to print: plain HTML, its look from ``static/letter.css``, no script."""

from __future__ import annotations

from html import escape

from alerts.letter import Letter, shown
from detectors.base import Sentence


def letter_page(letter: Letter, lang: str) -> str:
    """The whole page in one language, "zh" or "en"."""

    def say(zh: str, en: str) -> str:
        return escape(zh if lang == "zh" else en)

    def both(sentence: Sentence) -> str:
        return say(sentence.zh, sentence.en)

    facts = "".join(f"<tr><th>{both(label)}</th><td>{both(value)}</td></tr>" for label, value in letter.facts)
    history = "".join(f"<li>{both(line)}</li>" for line in letter.history)
    comma = "、" if lang == "zh" else ", "
    copies = comma.join(both(person) for person in letter.copies)
    supervised = f"<p>{say('督办人：', 'Supervised by: ')}{copies}</p>" if copies else ""
    return f"""<!doctype html>
<html lang="{"zh-CN" if lang == "zh" else "en"}">
<head>
<meta charset="utf-8">
<title>{both(letter.title)} {escape(letter.number)}</title>
<link rel="icon" href="/static/favicon.svg">
<link rel="stylesheet" href="/static/letter.css">
</head>
<body class="letter">
<h1>{both(letter.title)}</h1>
<p class="number">{say("编号：", "Number: ")}{escape(letter.number)}</p>
<p class="to">{both(letter.to)}{say("：", ":")}</p>
<table>{facts}</table>
<p class="demand">{both(letter.demand)}</p>
<h2>{say("此前办理情况", "What was done so far")}</h2>
<ol>{history}</ol>
{supervised}
<p class="sender">{both(letter.sender)}<br>{shown(letter.sent)}</p>
</body>
</html>
"""
