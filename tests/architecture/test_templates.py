"""Templates: escaping, content-security policy, and no requests to other hosts."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

from tools.docs.code import ROOT

RULES = (
    ("marks text as safe", re.compile(r"\|\s*safe\b|autoescape\s+false", re.I)),
    ("inline script", re.compile(r"<script(?![^>]*\bsrc=)(?! type=\"application/ld\+json\">)[^>]*>", re.I)),
    ("inline style", re.compile(r"<style\b|<[^>]*\sstyle\s*=", re.I)),
    ("event handler in an attribute", re.compile(r"<[^>]*\s(?:on[a-z]+|hx-on(?::[\w:-]+)?)\s*=", re.I)),
    ("address of another host", re.compile(r"""(?:src|href|action|url)\s*[=(]\s*["']?\s*(?:https?:)?//""", re.I)),
    ("evaluated, which the policy forbids", re.compile(r"\bhx-(?:vals|headers)[^=]*=\s*['\"]js:|javascript:", re.I)),
)
_POST_FORM = re.compile(r"<form\b[^>]*method=[\"']?post[^>]*>(.*?)</form>", re.I | re.S)
_TOKEN = re.compile(r"csrf_token|hidden_tag|csrf\(")
POST_ELSEWHERE = frozenset({"templates/shop/post_on.html"})
"""Forms that post to an acquirer, which needs no token of ours."""


def broken_rules(templates: Iterable[tuple[str, str]]) -> list[str]:
    """Violations of the rules in these (path, text)."""
    found = []
    for path, text in templates:
        bare = re.sub(r"\{#.*?#\}", "", text, flags=re.S)
        found += [f"{path}: {output}" for output, pattern in RULES if pattern.search(bare)]
        forms = [] if path in POST_ELSEWHERE else _POST_FORM.findall(bare)
        found += [f"{path}: a form that posts without a CSRF token" for form in forms if not _TOKEN.search(form)]
    return found


def files() -> list[tuple[str, str]]:
    found = sorted((ROOT / "templates").rglob("*.html"))
    return [(path.relative_to(ROOT).as_posix(), path.read_text()) for path in found]


def test_templates_keep_to_the_policy() -> None:
    assert broken_rules(files()) == []


@pytest.mark.parametrize(
    "text",
    [
        "<p>{{ name|safe }}</p>",
        "{% autoescape false %}{{ name }}{% endautoescape %}",
        "<script>alert(1)</script>",
        '<p style="color: red">',
        "<style>p {}</style>",
        '<button type="button" onclick="go()">',
        '<button hx-on:click="go()">',
        '<script src="https://cdn.example/htmx.js"></script>',
        '<link href="//fonts.example/a.css">',
        "<div hx-vals='js:{a: 1}'>",
        '<a href="javascript:go()">',
        '<form method="post" action="/cart"><button>Go</button></form>',
    ],
)
def test_a_template_that_breaks_a_rule_is_seen(text: str) -> None:
    assert broken_rules([("templates/shop/planted.html", text)])
