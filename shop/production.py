"""Rules for settings in production, checked at start. Pure: a table of rules over values.

`create_app` checks once, after the settings of the providers have been read. Development refuses only an enabled
provider with an empty secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple
from typing import Any
from urllib.parse import urlsplit

from shop.api_settings import DEVELOPMENT_TOKEN_KEY
from shop.seller import DEMO
from shop.setting_kinds import LOCAL_HOSTS, ChatWebhook, MailServer
from shop.settings import DEVELOPMENT, DEVELOPMENT_KEY, BadSetting, Setting, several

SHORTEST_SECRET = 32
"""Minimum length in characters of a key or token of the shop."""
SHORTEST_KEY = 8
"""Minimum length in characters of a key of a provider; a prefix alone is not a key."""

Values = Mapping[str, Any]


def check(
    values: Values, rows: Iterable[Setting], providers: Mapping[str, Iterable[Setting]], enabled: list[str]
) -> None:
    """Raise BadSetting with one sentence that names every unacceptable setting, never a value.

    `rows` are the shop's own settings, `providers` those of all providers by name, of which `enabled` are used.
    """
    everything = [*rows, *(row for of_one in providers.values() for row in of_one)]
    published = frozenset(_bare(row.default) for row in everything if row.published)
    keys = [row for name in enabled for row in providers[name] if row.secret]
    if values["SETTLED_ENV"] == DEVELOPMENT:
        wrong = [f"{row.name} is empty" for row in keys if not several(values[row.name])]
        if wrong:
            raise BadSetting(
                f"{_listed(wrong)}. Leave out such a setting to use the demo's, or leave out the provider."
            )
        return
    ours: dict[str, Callable[[Any], str]] = {row.name: rule for row in rows if (rule := _RULES.get(row.name))}
    wrong = [f"{name} {problem}" for name, rule in ours.items() if (problem := rule(values[name]))]
    wrong += [f"{row.name} {problem}" for row in keys if (problem := _wrong_key(values[row.name], published))]
    if wrong:
        raise BadSetting(
            f"Production does not start: {_listed(wrong)}. (SETTLED_ENV=development is for trying things out.)"
        )


def enabled(named: str, known: Iterable[str], *, production: bool) -> list[str]:
    """The providers that PROVIDERS names, in the order of `known`; in development all if it names none. Raises
    BadSetting.
    """
    there, wanted = list(known), several(named)
    unknown = [name for name in wanted if name not in there]
    if unknown:
        raise BadSetting(f"PROVIDERS: there is no provider {unknown[0]!r:.40}. Known are {', '.join(there)}.")
    if not wanted and production:
        raise BadSetting(
            f"PROVIDERS: production names the providers that take payments, by commas. Known are {', '.join(there)}."
        )
    return [name for name in there if name in wanted or not wanted]


def _secret_key(value: str) -> str:
    if not value:
        return f"is empty (at least {SHORTEST_SECRET} random characters)"
    return _token(value)


def _token(value: str) -> str:
    """An empty token grants nothing and is therefore allowed."""
    if value in (DEVELOPMENT_KEY, DEVELOPMENT_TOKEN_KEY):
        return "is the one of development, which is published"
    return f"is shorter than {SHORTEST_SECRET} characters" if 0 < len(value) < SHORTEST_SECRET else ""


def _token_keys(value: str) -> str:
    """The keys of the API's tokens, the newest first."""
    keys = several(value)
    return next((problem for key in keys if (problem := _token(key))), "") if keys else _secret_key("")


def _former_keys(values: list[str]) -> str:
    wrong = [problem for value in values if (problem := _token(value))]
    return f"has a key that {wrong[0]}" if wrong else ""


def _address(value: str) -> str:
    address = urlsplit(value)
    if address.scheme == "https" or address.hostname in LOCAL_HOSTS:
        return ""
    return "is not https, and not localhost"


def _seller(value: str) -> str:
    return "is the demo's" if value and value in astuple(DEMO) else ""


def _mail_server(value: MailServer) -> str:
    if not value or value.is_encrypted or value.is_plain_intended or value.host in LOCAL_HOSTS:
        return ""
    return "has no TLS (smtps:// or ?starttls=1; ?plain=1 allows a connection without)"


def _chat_webhook(value: ChatWebhook) -> str:
    return "is not https" if value and urlsplit(value).scheme != "https" else ""


def _issuer(value: str) -> str:
    return "is not https" if value and urlsplit(value).scheme != "https" else ""


def _second_factor(value: str) -> str:
    return "is optional (staff need a second factor)" if value == "optional" else ""


def _wrong_key(value: str, published: frozenset[str]) -> str:
    given = several(value)
    if not given:
        return "is empty"
    if published.intersection(map(_bare, given)):
        return "is one that is published in our documentation"
    return f"is shorter than {SHORTEST_KEY} characters" if min(map(len, given)) < SHORTEST_KEY else ""


def _bare(secret: str) -> str:
    """A secret without the prefix of webhook secrets, which is the same secret."""
    return secret.removeprefix("whsec_")


def _listed(sentences: list[str]) -> str:
    return "; ".join(sentences)


_RULES: dict[str, Callable[[Any], str]] = {
    "SECRET_KEY": _secret_key,
    "SECRET_KEY_FALLBACKS": _former_keys,
    "API_TOKEN_KEY": _token_keys,
    "CONTROL_TOKEN": _token,
    "METRICS_TOKEN": _token,
    "SHOP_URL": _address,
    **dict.fromkeys(("SELLER_NAME", "SELLER_ADDRESS", "SELLER_TAX_ID", "SELLER_EMAIL"), _seller),
    "MAIL_URL": _mail_server,
    "ALERT_WEBHOOK_URL": _chat_webhook,
    "STAFF_SECOND_FACTOR": _second_factor,
    "OIDC_ISSUER": _issuer,
}
"""The objection to a value in production, as words that follow the setting's name; empty if there is none."""
