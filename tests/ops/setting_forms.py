"""The form of a page of settings, as a browser would send it back."""

from __future__ import annotations

from html.parser import HTMLParser

from tests.web.conftest import Visitor

Form = dict[str, object]


class _Fields(HTMLParser):
    """Fields of the first form that has a version."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.forms: list[dict[str, list[str]]] = []
        self.area = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        of = dict(attributes)
        name = of.get("name") or ""
        if tag == "form":
            self.forms.append({})
        elif tag == "textarea":
            self.area = name
            self.forms[-1][name] = [""]
        elif tag == "input" and name and ("checked" in of or of.get("type") not in ("checkbox", "radio")):
            self.forms[-1].setdefault(name, []).append(of.get("value") or "")

    def handle_data(self, data: str) -> None:
        if self.area:
            self.forms[-1][self.area][0] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self.area = ""


def fields(page: str) -> Form:
    """The fields of the form on a page."""
    form = next(one for one in _Fields(page).forms if "version" in one)
    return {name: values if len(values) > 1 else values[0] for name, values in form.items()}


def form_of(visitor: Visitor, path: str) -> Form:
    """The fields of the form at an address."""
    return fields(visitor.get(path).text)
