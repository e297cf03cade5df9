"""Access rules of API calls: declared on every view, and enforced here. Callers prove themselves by Bearer token alone;
the cookie is never read.

The token is an access token, an API key, or the token of an order.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, wraps
from typing import Any, Literal, TypeVar

from flask import abort, g, request

from shop.accounts import api_keys, api_sessions, rights, second_factor
from shop.accounts.api_sessions import Account, InvalidToken
from shop.accounts.permissions import Permission, permissions_of
from shop.api import rate_limits
from shop.api.problems import EVERYWHERE, problems
from shop.api.rate_limits import Policy
from shop.core import logs
from shop.core.actor import Actor
from shop.core.client_address import client_network
from shop.core.errors import Refusal
from shop.http_kit.request_guard import LARGEST_BODY
from shop.orders import find
from shop.orders.models import Order

V = TypeVar("V", bound=Callable[..., Any])
Who = Literal["public", "customer", "order_token"]
_ORDER_TOKEN = re.compile("[A-Za-z0-9_-]{32}")


class CallerKind(StrEnum):
    """Kind of a caller, by its proof."""

    GUEST = "guest"
    USER = "user"
    KEY = "key"
    ORDER = "order"


@dataclass(frozen=True)
class Caller:
    """Caller of the API. `permissions` are those of the account, or the scopes of the API key; `order` is the order of
    an order token; `session_id` is that of an access token.
    """

    kind: CallerKind
    account: Account | None = None
    permissions: frozenset[Permission] = frozenset()
    key_id: int | None = None
    session_id: str = ""
    order: Order | None = None

    @property
    def id(self) -> str:
        """Text form, by which calls are counted and idempotency keys are kept apart."""
        if self.order is not None:
            return f"order {self.order.id}"
        number = self.key_id if self.kind is CallerKind.KEY else self.customer_id
        return self.kind.value if number is None else f"{self.kind.value} {number}"

    @property
    def user_id(self) -> int | None:
        return self.account.id if self.account else None

    @property
    def customer_id(self) -> int | None:
        """The account whose own data the caller may use; None for API keys, which act by their scopes alone."""
        return self.user_id if self.kind is CallerKind.USER else None

    def may(self, permission: Permission) -> bool:
        """True if the caller acts as staff with this permission. Where staff need a second factor, it is set up."""
        return permission in self.permissions and not (self.kind is CallerKind.USER and self.lacks_second_factor)

    def owns(self, order_id: int, customer_id: int | None) -> bool:
        """True for the order of the token, and for one that was placed with the caller's account."""
        if self.order is not None:
            return self.order.id == order_id
        return self.customer_id is not None and self.customer_id == customer_id

    @property
    def lacks_second_factor(self) -> bool:
        """True for staff without the second factor that they need."""
        account = self.account
        return bool(account and account.roles and not account.has_second_factor and second_factor.is_required())

    def actor(self, permission: Permission) -> Actor:
        """The actor of a change: the member of staff if the caller has the permission, else the customer."""
        if self.may(permission) and self.user_id is not None:
            return Actor.staff(self.user_id, scopes=self.permissions if self.kind is CallerKind.KEY else None)
        return Actor.customer(self.customer_id)


@dataclass(frozen=True)
class ApiAccess:
    """Declaration of a view: one of these is enough."""

    who: tuple[Who | Permission, ...]
    policy: Policy = field(default=rate_limits.DEFAULT, compare=False)

    @cached_property
    def permissions(self) -> tuple[Permission, ...]:
        return tuple(one for one in self.who if isinstance(one, Permission))

    def __str__(self) -> str:
        return " or ".join(f"api {one}" for one in self.who)


def api_access(*who: Who | Permission, policy: Policy = rate_limits.DEFAULT) -> Callable[[V], V]:
    """Declare and enforce who may call a view; one of `who` is enough.

    `public`: anyone, and a token that is sent must be valid. `customer`: a signed-in person, for own data.
    `order_token`: the token of the order as Bearer token; another text of that form is 404. A permission: staff by
    access token, or an API key with this scope. Without a valid token the answer is 401, without the permission 403,
    above `policy` 429. The view narrows the data by `caller()`.

    Raises ValueError, when the program starts, for an empty declaration and for `public` beside another one.
    """
    if not who or ("public" in who and len(who) > 1):
        raise ValueError("a call is public, or it names its callers")
    declared = ApiAccess(who, policy)

    def declare(view: V) -> V:
        documented = _documented(view, declared)

        @wraps(documented)
        def guarded(*args: Any, **values: Any) -> Any:
            if (request.content_length or 0) > LARGEST_BODY:
                abort(413)  # also for a call that reads no body
            g.api_caller = found = _identified(declared)
            _count(policy, found)
            _demand(found, declared)
            return documented(*args, **values)

        guarded.access = declared  # type: ignore[attr-defined]
        return guarded  # type: ignore[return-value]

    return declare


def caller() -> Caller:
    """The caller of this request; a guest before it was identified."""
    found: Caller = g.get("api_caller") or Caller(CallerKind.GUEST)
    return found


def count(policy: Policy) -> None:
    """Count a call of this caller, by account or API key, else by client network. Raises TooMany (429)."""
    _count(policy, caller())


def _count(policy: Policy, found: Caller) -> None:
    is_known = found.kind in (CallerKind.USER, CallerKind.KEY)
    rate_limits.count(policy, found.id if is_known else client_network(request.remote_addr), is_known=is_known)


def _identified(declared: ApiAccess) -> Caller:
    """The caller that the token proves. Raises InvalidToken (401); aborts with 404 for an unknown order token."""
    header = request.headers.get("Authorization")
    if header is None:
        return Caller(CallerKind.GUEST)
    scheme, _, token = header.partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise InvalidToken
        return _proven(token.strip(), declared)
    except InvalidToken:
        rate_limits.count_refused(client_network(request.remote_addr))
        raise


def _proven(token: str, declared: ApiAccess) -> Caller:
    if token.startswith(api_keys.PREFIX):
        key = api_keys.find(token)
        logs.bind(api_key=key.id)
        return Caller(CallerKind.KEY, key.account, key.permissions, key.id)
    if _ORDER_TOKEN.fullmatch(token) and "order_token" in declared.who:
        order = find.by_token(token)
        if order is None:
            rate_limits.count_refused(client_network(request.remote_addr))
            abort(404)
        return Caller(CallerKind.ORDER, order=order)
    account, session_id = api_sessions.find(token)
    logs.bind(user=account.id)
    return Caller(CallerKind.USER, account, permissions_of(account.roles), session_id=session_id)


_DECLARED = {CallerKind.USER: "customer", CallerKind.ORDER: "order_token"}


def _demand(found: Caller, declared: ApiAccess) -> None:
    """Raise InvalidToken for a guest, and Refusal (403) for a caller without the permission or scope."""
    permissions = declared.permissions
    if "public" in declared.who or _DECLARED.get(found.kind) in declared.who or any(map(found.may, permissions)):
        return
    if found.kind is CallerKind.GUEST:
        raise InvalidToken
    if permissions and found.lacks_second_factor and found.permissions.intersection(permissions):
        raise Refusal("second_factor_needed", "Set up a second factor in the console first.")
    if found.kind is CallerKind.KEY and permissions:
        raise Refusal("forbidden", rights.scope_needed(permissions[0]))
    raise Refusal("forbidden", rights.explanation(permissions[0]) if permissions else "This call is for customers.")


def _documented(view: V, declared: ApiAccess) -> V:
    """Add the security requirements, the problems and the headers that come from the declaration."""
    codes = [*EVERYWHERE, "invalid_token"]
    if "public" not in declared.who:
        codes.append("forbidden")
    if declared.permissions:
        codes.append("second_factor_needed")
    if "order_token" in declared.who:
        codes.append("not_found")
    view = problems(*codes)(view)
    documentation = view._apidoc.setdefault("manual_doc", {})  # type: ignore[attr-defined]
    documentation["security"] = [{}, {"bearer": []}] if "public" in declared.who else [{"bearer": []}]
    documentation["x-access"] = [str(one) for one in declared.who]
    return view
