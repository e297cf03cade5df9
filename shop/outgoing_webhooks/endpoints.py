"""Endpoints of outgoing webhooks: create, change, rotate the secret, enable, disable and delete, with audit entries.

A secret is returned once, when it is made, and stored encrypted. After a rotation the former one signs too (OVERLAP).
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import func, select, update

from shop.accounts import rights
from shop.accounts.permissions import Permission
from shop.core import audit, clock, ids, outside, sealed, text
from shop.core.actor import Actor, ActorKind
from shop.core.audit import Act, Subject, SubjectKind
from shop.core.db import changed, db, insert, transactional
from shop.core.errors import BadInput, Refusal
from shop.core.exclusive import alone_until_commit
from shop.core.public_address import objection
from shop.outgoing_webhooks.kinds import DeliveryState, DisabledBecause, EventType
from shop.outgoing_webhooks.models import WebhookDelivery, WebhookEndpoint

MOST = 20
"""Endpoints of a shop."""
LONGEST_DESCRIPTION = 200
OVERLAP = timedelta(hours=24)
PREFIX = "whsec_"
_PURPOSE = "webhook endpoint secret"
IS_PRESENT = WebhookEndpoint.deleted_at.is_(None)
DISABLED = "The endpoint was disabled."


@transactional
def create(url: str, description: str, event_types: Iterable[str], *, by: Actor) -> tuple[str, str]:
    """Create an endpoint; returns its id and its secret. Raises Forbidden; BadInput `bad_url`, `bad_description` and
    `bad_event_types` (details: `field`); Refusal `too_many_endpoints` and `endpoint_exists`.
    """
    rights.demand(by, Permission.WEBHOOK_ENDPOINT_WRITE)
    values = _checked(url, description, event_types)
    alone_until_commit(db.session, "webhook endpoints")
    if _number() >= MOST:
        raise Refusal("too_many_endpoints", f"There are {MOST} endpoints already. Delete one that is not used.")
    _refuse_known(values["url"], "")
    endpoint_id, secret, at = ids.endpoint_id(), _new_secret(), clock.now()
    row = {"id": endpoint_id, "secret": sealed.encrypted(secret, _PURPOSE), "created_at": at, "created_by": by}
    db.session.execute(insert(WebhookEndpoint).values(**values, **row, rotations=0, unanswered=0))
    _record(by, Act.ENDPOINT_CREATED, endpoint_id, after=_shown(values))
    return endpoint_id, secret


@transactional
def change(
    endpoint_id: str,
    url: str | None = None,
    description: str | None = None,
    event_types: Iterable[str] | None = None,
    *,
    by: Actor,
) -> None:
    """Change what is given; queued deliveries go to the new address. Raises as `create`, and `unknown_endpoint`."""
    rights.demand(by, Permission.WEBHOOK_ENDPOINT_WRITE)
    endpoint = locked(endpoint_id)
    values = _checked(
        endpoint.url if url is None else url,
        endpoint.description if description is None else description,
        endpoint.event_types if event_types is None else event_types,
    )
    before = {name: getattr(endpoint, name) for name in values}
    if before == values:
        return
    if values["url"] != endpoint.url:
        alone_until_commit(db.session, "webhook endpoints")
        _refuse_known(values["url"], endpoint_id)
        endpoint.failing_since, endpoint.unanswered, endpoint.lane_until = None, 0, None
    endpoint.url, endpoint.description, endpoint.event_types = values.values()
    _record(by, Act.ENDPOINT_CHANGED, endpoint_id, before=_shown(before), after=_shown(values))


@transactional
def rotate(endpoint_id: str, *, by: Actor, seen: int | None = None) -> str:
    """Make a new secret and return it; the former one signs too for OVERLAP. `seen` is the number of rotations that the
    page showed: a form that was sent twice does not end the overlap.

    Raises Forbidden, and Refusal `unknown_endpoint` and `secret_changed`.
    """
    rights.demand(by, Permission.WEBHOOK_ENDPOINT_WRITE)
    endpoint = locked(endpoint_id)
    if seen is not None and seen != endpoint.rotations:
        raise Refusal("secret_changed", "The secret was rotated meanwhile. This page shows the present state.")
    secret = _new_secret()
    endpoint.former_secret, endpoint.former_until = endpoint.secret, clock.now() + OVERLAP
    endpoint.secret, endpoint.rotations = sealed.encrypted(secret, _PURPOSE), endpoint.rotations + 1
    _record(by, Act.ENDPOINT_SECRET_ROTATED, endpoint_id, after={"rotations": endpoint.rotations})
    return secret


@transactional
def enable(endpoint_id: str, *, by: Actor) -> None:
    """Enable a disabled endpoint; events from now on are delivered. Raises Forbidden and Refusal `unknown_endpoint`."""
    rights.demand(by, Permission.WEBHOOK_ENDPOINT_WRITE)
    endpoint = locked(endpoint_id)
    if endpoint.disabled_at is None:
        return
    _record(by, Act.ENDPOINT_ENABLED, endpoint_id, before={"disabled_because": endpoint.disabled_because})
    endpoint.disabled_at = endpoint.disabled_because = endpoint.failing_since = endpoint.lane_until = None
    endpoint.unanswered = 0


@transactional
def disable(endpoint_id: str, *, by: Actor) -> None:
    """Disable an endpoint: no event is delivered. Raises Forbidden and Refusal `unknown_endpoint`."""
    rights.demand(by, Permission.WEBHOOK_ENDPOINT_WRITE)
    if locked(endpoint_id).disabled_at is None:
        write_disabled(endpoint_id, DisabledBecause.STAFF, by)


def write_disabled(endpoint_id: str, because: DisabledBecause, by: Actor | None = None) -> None:
    """Disable an endpoint in the current transaction, and end its queued deliveries. Without `by` the shop does it."""
    at = clock.now()
    enabled = update(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id, WebhookEndpoint.disabled_at.is_(None))
    if changed(enabled.values(disabled_at=at, disabled_because=because)):
        end_queued(endpoint_id)
        actor = by or Actor(ActorKind.AUTOMATIC)
        _record(actor, Act.ENDPOINT_DISABLED, endpoint_id, after={"disabled_because": because})


@transactional
def delete(endpoint_id: str, *, by: Actor) -> None:
    """Delete an endpoint and its secrets; its deliveries stay until their retention period ends. Raises Forbidden and
    Refusal `unknown_endpoint`.
    """
    rights.demand(by, Permission.WEBHOOK_ENDPOINT_WRITE)
    endpoint = locked(endpoint_id)
    _record(by, Act.ENDPOINT_DELETED, endpoint_id, before=_shown({"url": endpoint.url}))
    endpoint.secret, endpoint.former_secret, endpoint.former_until = "", None, None
    endpoint.deleted_at = clock.now()
    end_queued(endpoint_id)


def end_queued(endpoint_id: str) -> None:
    """End the queued deliveries of an endpoint that is disabled or deleted, in the current transaction."""
    queued = (WebhookDelivery.endpoint_id == endpoint_id, WebhookDelivery.state == DeliveryState.QUEUED)
    ended = {"state": DeliveryState.FAILED, "next_attempt_at": None, "error": DISABLED}
    db.session.execute(update(WebhookDelivery).where(*queued).values(**ended))


def locked(endpoint_id: str) -> WebhookEndpoint:
    """The endpoint, locked in the current transaction. Raises Refusal `unknown_endpoint`."""
    this = select(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id, IS_PRESENT)
    current = this.with_for_update().execution_options(populate_existing=True)
    endpoint = db.session.scalars(current).one_or_none()
    if endpoint is None:
        raise Refusal("unknown_endpoint", "There is no such endpoint.")
    return endpoint


def signing_secrets(endpoint: WebhookEndpoint, at: datetime) -> tuple[str, ...]:
    """The secrets that sign at this time, the present one first; none of those that cannot be decrypted."""
    is_overlap = endpoint.former_until is not None and endpoint.former_until > at
    stored = (endpoint.secret, endpoint.former_secret if is_overlap else None)
    found = (sealed.decrypted(each, _PURPOSE) for each in stored)
    return tuple(secret for secret in found if secret)


def host_of(url: str) -> str:
    """Scheme and host of an address: its path and query may contain a password of the receiver."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def _checked(url: str, description: str, event_types: Iterable[str]) -> dict[str, Any]:
    url, described, chosen = url.strip(), text.tidy(description), set(event_types)
    if problem := objection(url, outside.rules()):
        raise BadInput("bad_url", problem, field="url")
    if text.is_unusable(described) or len(described) > LONGEST_DESCRIPTION:
        message = f"A description has at most {LONGEST_DESCRIPTION} characters, and no control characters."
        raise BadInput("bad_description", message, field="description")
    return {"url": url, "description": described, "event_types": _known(chosen)}


def _known(chosen: Collection[str]) -> list[str]:
    """The event types in their order. Raises BadInput for none and for unknown ones."""
    unknown = sorted(each for each in chosen if each not in tuple(EventType))
    if unknown:
        message = f"{unknown[0][:40]} is not an event type. Event types are {', '.join(EventType)}."
        raise BadInput("bad_event_types", message, field="event_types")
    if not chosen:
        raise BadInput("bad_event_types", "Choose at least one event type.", field="event_types")
    return [str(each) for each in EventType if each in chosen]


def _refuse_known(url: str, but: str) -> None:
    same = select(WebhookEndpoint.id).where(WebhookEndpoint.url == url, IS_PRESENT, WebhookEndpoint.id != but)
    if db.session.scalar(same) is not None:
        raise Refusal("endpoint_exists", "There is an endpoint with this address already.", field="url")


def _number() -> int:
    return db.session.scalar(select(func.count()).select_from(WebhookEndpoint).where(IS_PRESENT)) or 0


def _shown(values: dict[str, Any]) -> dict[str, Any]:
    """Values for the audit log, with the host in place of the address."""
    return values | {"url": host_of(values["url"])}


def _record(by: Actor, act: Act, endpoint_id: str, **values: Any) -> None:
    audit.record(by, act, Subject(SubjectKind.WEBHOOK_ENDPOINT, endpoint_id), **values)
