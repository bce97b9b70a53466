"""From what a model writes to plain text: LaTeX, Markdown, HTML and full-width characters are undone.

What the reader of the rendered answer would not see, or would see struck out, is no part of the answer. Struck-out
text is dropped; anything hidden makes the whole answer a trick (`hidden`).
"""

from __future__ import annotations

import re

# Zero-width, joining and direction characters, soft hyphens, fillers and combining strokes: they change what a program
# reads and not what a person sees (or the other way round). No answer in Chinese, English or Japanese needs one.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\u0332-\u0338\u20d2-\u20e5\U000e0000-\U000e007f]"
)
_HIDDEN_MARKUP = re.compile(
    r"<!--|-->|\[//\]: *#|display *: *none|visibility *: *hidden|<[a-z]{1,10} [^<>]{0,60}\bhidden\b|font-size *: *0"
    r"|\\[hv]?phantom\b|\\(?:text)?color *\{ *(?:white|transparent)|\bcolor *[=:] *[\"']?(?:white|#fff|transparent)|\\opacity\b|<script\b|<style\b"
    r"|<template\b|\\iffalse\b",
    re.IGNORECASE,
)

_STRUCK = re.compile(
    r"~~[^~\n]{0,400}~~|<(s|del|strike)>[^<]{0,400}</\1>"
    r"|\\(?:sout|st|cancel|xcancel|bcancel|not\\mathrel)\{[^{}]{0,400}\}",
    re.IGNORECASE,
)
_TAGS = re.compile(
    r"</?(?:b|i|u|em|strong|p|br|div|span|sub|sup|small|big|center|code|pre|li|ul|ol|h[1-6]|mark) ?/?>", re.I
)

# \begin{align*} prints nothing; its name is no word of the answer.
ENVIRONMENT = re.compile(r"\\(?:begin|end) ?\{[a-z]{1,12}\*?\}(?:\{[lcr|]{1,8}\})?")

_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"
_SUPERSCRIPT_RUN = re.compile(f"[{_SUPERSCRIPTS}]{{1,6}}")
_FROM_SUPERSCRIPT = str.maketrans(_SUPERSCRIPTS, "0123456789-")

_FOLD: dict[int, str] = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
_FOLD.pop(ord("，"))  # a list separator; inside full-width digits it is folded before
_FOLD.update(
    {ord(mark): "-" for mark in "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d"}
    | {
        ord(mark): " "
        for mark in "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
    }
    | {ord(mark): "~" for mark in "～〜∼∽"}
    | {ord(mark): "'" for mark in "‘’′`"}
    | {ord(mark): '"' for mark in "“”″「」『』"}
    | {ord("﹪"): "%", ord("￥"): "¥", ord("∶"): ":", ord("﹣"): "-", ord("⁄"): "/", ord("✕"): "×", ord("✖"): "×"}
    | {
        ord("∙"): "·",
        ord("⋅"): "·",
        ord("億"): "亿",
        ord("萬"): "万",
        ord("負"): "负",
        ord("圓"): "元",
        ord("點"): "点",
    }
    | {ord("≦"): "≤", ord("≧"): "≥", ord("⩽"): "≤", ord("⩾"): "≥", ord("≅"): "≈", ord("≃"): "≈", ord("≒"): "≈"}
    | {ord("½"): " 1/2", ord("⅓"): " 1/3", ord("⅔"): " 2/3", ord("¼"): " 1/4", ord("¾"): " 3/4", ord("⅕"): " 1/5"}
    | {ord("⅖"): " 2/5", ord("⅗"): " 3/5", ord("⅘"): " 4/5", ord("⅙"): " 1/6", ord("⅛"): " 1/8", ord("⅜"): " 3/8"}
    | {ord("⅝"): " 5/8", ord("⅞"): " 7/8"}
)
_FULL_WIDTH_COMMA = re.compile(r"(?<=[０-９])，(?=[０-９])")

# LaTeX commands that print as one sign; every other command vanishes and leaves its argument.
_SIGNS = {
    "times": "×", "cdot": "·", "div": "÷", "approx": "≈", "simeq": "≈", "sim": "~", "pm": "±", "mp": "±", "le": "≤",
    "leq": "≤", "leqslant": "≤", "ge": "≥", "geq": "≥", "geqslant": "≥", "lt": "<", "gt": ">", "neq": "≠", "ne": "≠",
    "infty": "∞", "to": "→", "rightarrow": "→", "Rightarrow": "→", "therefore": " ", "permil": "‰", "euro": "€",
    "pounds": "£", "yen": "¥", "and": " and ", "land": " and ", "lor": " or ", "quad": " ", "qquad": " ", "space": " ",
    "newline": "\n", "textdollar": "\x01", "dots": "...", "ldots": "...", "cdots": "...", "textasciitilde": "~",
    "sqrt": "√", "sum": "∑", "int": "∫", "lnot": " not ", "neg": " not ", "cup": " or ",
}  # fmt: skip
_LATEX = re.compile(
    r"\\[dtc]?frac *\{([^{}]{1,80})\} *\{([^{}]{1,80})\}|\\[dtc]?frac *(\d) *(\d)"
    r"|\\(left|right|big|Big|bigl|bigr|displaystyle|limits)(?![a-zA-Z])|\\([a-zA-Z]{1,20})\*?|\\(.)|\{,\}|\^\{(-?\d{1,4})\}",
    re.DOTALL,
)
# The braces of commands vanish with them; written ones (\{14, 15\}) stay.
_BRACES = {ord("{"): None, ord("}"): None, 2: "{", 3: "}"}
_FRACTION_ARGUMENT = re.compile(r"[\d.,% ]+")
_MATH_DOLLARS = re.compile(r"\$([^$\n]{0,200}[^$\s])\$(?!\d)")
_EMPHASIS = re.compile(r"\*\*|__|`{1,3}|^#{1,6} |(?<!\w)\*(?=\S)|(?<=\S)\*(?![\w\s])", re.MULTILINE)
# Some data sets carry a line break written out at the end of a gold.
_STRAY_BREAKS = re.compile(r"(?:\\{1,2}n\s{0,4}){1,4}$")
_ORDINARY = re.compile(r"[\w .,%\-+()/:;'\"!?&#=]*", re.ASCII)


def hidden(text: str) -> bool:
    """Whether the text holds something that a reader would not see (invisible characters, comments, white ink)."""
    if not text.isascii() and _INVISIBLE.search(text):
        return True
    return ("<" in text or "\\" in text or "[" in text or ":" in text) and _HIDDEN_MARKUP.search(text) is not None


def plain(text: str) -> str:
    r"""The text as a reader sees it, in half-width characters; a currency `\$` becomes `$`.

    Line breaks stay (they separate the items of a list). Linear: every pattern is bounded.
    """
    if _ORDINARY.fullmatch(text) and "__" not in text:
        return text.strip()
    text = _STRAY_BREAKS.sub("", text)
    if "~~" in text or "<" in text or "\\" in text:
        text = _STRUCK.sub(" ", text)
        if "<" in text:
            text = _TAGS.sub(" ", text)
    if not text.isascii():
        text = _FULL_WIDTH_COMMA.sub(",", text)
        text = _SUPERSCRIPT_RUN.sub(lambda run: "^" + run.group().translate(_FROM_SUPERSCRIPT), text)
        text = text.translate(_FOLD)
    if "$" in text:
        text = _MATH_DOLLARS.sub(r"\1", text.replace("\\$", "\x01").replace("$$", " "))
    if "{,}" in text:
        text = text.replace("{,}", ",")
    if "\\" in text:
        text = text.replace("~\\", " \\")
        text = _LATEX.sub(_latex, ENVIRONMENT.sub(" ", text)).translate(_BRACES)
    text = text.replace("\x01", "$")
    if "*" in text or "_" in text or "`" in text or "#" in text or ">" in text:
        text = _EMPHASIS.sub("", text)
    return text.strip()


def _latex(match: re.Match[str]) -> str:
    upper, lower = match.group(1) or match.group(3), match.group(2) or match.group(4)
    if upper is not None:
        simple = _FRACTION_ARGUMENT.fullmatch(upper) and _FRACTION_ARGUMENT.fullmatch(lower)
        return f" {upper.strip()}/{lower.strip()} " if simple else f"({upper})/({lower})"
    if match.group(5):
        return ""
    if command := match.group(6):
        return _SIGNS.get(command, "")
    if sign := match.group(7):
        if sign == "$":
            return "\x01"
        if sign in "{}":
            return "\x02" if sign == "{" else "\x03"
        if sign in "%#&_":
            return sign
        return "\n" if sign == "\\" else " " if sign in " ;:" else ""
    if exponent := match.group(8):
        return "^" + exponent
    return ","
