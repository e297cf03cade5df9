"""Languages of the shop: the locales that pages and mails are offered in, and texts that are stored by locale.

A language is offered once its catalogue in `translations/` is complete, which a test checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

ENGLISH = "en"
OFFERED: Mapping[str, str] = {ENGLISH: "English", "zh_Hant": "繁體中文", "zh_Hans": "简体中文", "ja": "日本語"}
"""Name of each offered language, in this language, by locale."""
_TRADITIONAL = frozenset({"hant", "tw", "hk", "mo"})
_LONGEST_TAG = 35


def tag(locale: str) -> str:
    """The locale as HTML, HTTP and addresses spell it, such as `zh-Hant`."""
    return locale.replace("_", "-")


def offered(language_tag: str) -> str | None:
    """The offered locale for a tag such as `zh-TW` or `en-GB`, None if there is none.

    Chinese is mapped by hand: Taiwan, Hong Kong and Macao write traditional characters, all others simplified ones.
    """
    if len(language_tag) > _LONGEST_TAG:
        return None
    language, *rest = language_tag.strip().lower().replace("_", "-").split("-")
    locale = language
    if language == "zh":
        scripts = [part for part in rest if part in ("hans", "hant")]
        is_traditional = scripts[0] == "hant" if scripts else bool(_TRADITIONAL & set(rest))
        locale = "zh_Hant" if is_traditional else "zh_Hans"
    return locale if locale in OFFERED else None


def best(language_tags: Iterable[str]) -> str | None:
    """The offered locale of the first tag that has one; tags are in the order of preference."""
    return next((found for found in map(offered, language_tags) if found), None)


def text_in(texts: Mapping[str, Mapping[str, str]], locale: str, name: str, english: str) -> str:
    """The text `name` of a stored row in a language; the English text where it has no translation."""
    return texts.get(locale, {}).get(name) or english
