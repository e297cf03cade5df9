"""Fuzz test of the API from its OpenAPI document: `python -m bench.api_fuzz --cases 20000 --seed 1`.

schemathesis generates requests that fit the document and ones that do not, for every call; guests, customers, staff,
API keys and holders of orders send them, in this process. Ids are half of the time those of rows that exist. An answer
must not be a 5xx, and its status, content type, headers and body must be documented. An address refuses every method
that the document does not name.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.generation.case import Case
from schemathesis.specs.openapi import checks
from schemathesis.transport.prepare import get_exclude_headers

from bench.filled_shop import FilledShop
from shop.api import document as openapi
from tests.api.populated import Populated
from tests.parts.redis_server import RedisServer
from tests.shop_fixtures import migrate

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "SEARCH")
MOST_AT_ONCE = 50
"""Cases of a call in a row; then the next one follows, so that calls meet the rows that others have made."""


@dataclass
class Result:
    """Statuses of the answers by call, and failures, one for each kind."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    cases: int = 0


class Fuzzer:
    """Sends generated cases to a populated shop, of all calls or of `only` one."""

    def __init__(self, shop: Populated, seed_: int, only: str = "") -> None:
        self.shop, self.seed, self.chance = shop, seed_, Random(seed_)
        app = shop.shop.app
        self.result = Result()
        self.schema = schemathesis.openapi.from_dict(openapi.of(app))
        self.schema.app = app
        found = [one.ok() for one in self.schema.get_all_operations() if not only or one.ok().label == only]
        self.operations = sorted(found, key=lambda one: one.path.endswith("/logout"))

    def run(self, cases: int, progress: Callable[[int], None] = lambda done: None) -> Result:
        """Send at least so many cases."""
        kinds = [(one, mode) for one in self.operations for mode in GenerationMode]
        strategies = {}
        round_ = 0
        while self.result.cases < cases:
            each = min(MOST_AT_ONCE, -(-(cases - self.result.cases) // len(kinds)))
            for operation, mode in kinds:
                key = (operation.label, mode)
                if key not in strategies:
                    strategies[key] = operation.as_strategy(mode)
                self._generate(strategies[key], each, f"{self.seed} {round_} {key}")
            self.shop.follow()
            round_ += 1
            progress(self.result.cases)
        self.methods()
        return self.result

    def _generate(self, strategy: Any, number: int, source: str) -> None:
        @seed(source)
        @settings(
            max_examples=number,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(strategy)
        def send(case: Case) -> None:
            self.send(case)

        with suppress(Unsatisfiable):  # a call without parameters has no request that does not fit
            send()

    def send(self, case: Case) -> None:
        """Send a case as one kind of caller, and check its answer."""
        chance = self.chance
        is_page = case.operation.path.startswith("/orders")  # without a token the page answers
        if is_page and get_exclude_headers(case):
            return  # a case without the token
        kind = chance.choice([kind for kind, token in self.shop.tokens.items() if token or not is_page])
        for name in case.path_parameters or ():
            known = self.shop.known(name)
            if known and chance.random() < 0.7:
                case.path_parameters[name] = chance.choice(known)
        if isinstance(case.body, dict):
            example = self._example(case)
            case.body = copy.deepcopy(example) if example and chance.random() < 0.3 else case.body
            case.body = self.shop.filled("", case.body, chance)
        headers = {"Accept-Language": chance.choice(["en", "ja", "zh-TW"])}
        headers["Accept-Encoding"] = "identity"  # schemathesis asks for gzip, and unpacks no answer of an app
        if token := self.shop.tokens[kind]:
            headers["Authorization"] = f"Bearer {token}"
        if "Idempotency-Key" in (case.headers or {}) and chance.random() < 0.8:
            headers["Idempotency-Key"] = f"{chance.getrandbits(160):040x}"
        if "If-Match" in (case.headers or {}) and chance.random() < 0.8:
            headers["If-Match"] = "*"
        self.result.cases += 1
        try:
            with self.shop.shop.app.app_context():
                answer = case.call(headers=headers)
            self.result.statuses[case.operation.label, answer.status_code] += 1
            case.validate_response(answer, checks=CHECKS, headers=headers)
        except FailureGroup as failed:
            for one in failed.exceptions:
                self._note(f"{type(one).__name__} {case.operation.label}", f"{kind}: {one}\n{_curl(case)}")
        except Exception as error:  # noqa: BLE001 - each failure is reported
            lines = "".join(traceback.format_tb(error.__traceback__)[-3:])
            self._note(f"{type(error).__name__} {case.operation.label}", f"{kind}: {error}\n{lines}{_curl(case)}")

    def methods(self) -> None:
        """Send every method that the document does not name to every address."""
        client = self.shop.caller("staff")
        for path, operations in self.schema.raw_schema["paths"].items():
            address = path.replace("{", "").replace("}", "")
            for name in self._parameters(path):
                known = [*self.shop.known(name), 1][0]
                address = address.replace(f"/{name}", f"/{known}")
            for method in METHODS:
                if method.lower() in operations:
                    continue
                answer = client.open(method, address)
                self.result.cases += 1
                allowed = set(answer.headers.get("Allow", "").split(", ")) - {"HEAD", "OPTIONS"}
                named = {one.upper() for one in operations if one != "parameters"}
                if answer.status_code != 405 or not named <= allowed:
                    self._note(f"method {method} {path}", f"{answer.status_code}, Allow: {answer.headers.get('Allow')}")

    @staticmethod
    def _example(case: Case) -> Any:
        """The documented body of the call."""
        body = case.operation.definition.raw.get("requestBody", {})
        return body.get("content", {}).get("application/json", {}).get("example")

    @staticmethod
    def _parameters(path: str) -> Iterator[str]:
        return (part[1:-1] for part in path.split("/") if part.startswith("{"))

    def _note(self, kind: str, text: str) -> None:
        self.result.failures.setdefault(kind, text)


def _show(done: int) -> None:
    print(f"{done:>7} cases", file=sys.stderr, flush=True)


def _curl(case: Case) -> str:
    return case.as_curl_command()[:2000]


def main() -> int:
    """Run from the command line; 1 when a check has failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    began = time.monotonic()
    redis = RedisServer()
    try:
        with tempfile.TemporaryDirectory(prefix="settled-api-fuzz-") as folder:
            url = f"sqlite:///{folder}/shop.db"
            migrate(url)
            filled = FilledShop(url, redis.url)
            with filled.app.app_context():
                shop = Populated(filled.shop)
                result = Fuzzer(shop, args.seed).run(args.cases, _show)
                _print(result, time.monotonic() - began)
                filled.shop.is_sound()
    finally:
        redis.close()
    return 1 if result.failures else 0


def _print(result: Result, seconds: float) -> None:
    for (call, status), number in sorted(result.statuses.items()):
        print(f"{call:70} {status} {number:>6}")
    print(f"{result.cases} cases in {seconds:.0f} s, {len(result.failures)} kinds of failures")
    for kind, text in result.failures.items():
        print(f"\n{kind}\n{text}")


if __name__ == "__main__":
    sys.exit(main())
