"""Commands about endpoints of outgoing webhooks and about API keys: secrets are shown once, lists have none."""

from __future__ import annotations

import pytest
from click.testing import Result

from shop.accounts import api_keys
from shop.core.db import db
from tests.commands.subjects import HOOK, disabled_endpoint, failed_delivery, run
from tests.shop_fixtures import Shop

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def invoke(shop: Shop, *arguments: str) -> Result:
    done = shop.app.test_cli_runner().invoke(args=arguments, catch_exceptions=False)
    db.session.rollback()
    return done


def test_a_new_endpoint_and_its_secrets_are_printed_once(shop: Shop) -> None:
    endpoint_id, secret = run(shop, ["webhook-endpoints", "add", HOOK, "--description", "Warehouse"]).split()
    other = run(shop, ["webhook-endpoints", "rotate", endpoint_id]).strip()
    assert secret.startswith("whsec_") and other.startswith("whsec_") and secret != other
    listed = run(shop, ["webhook-endpoints", "list"])
    assert listed == f"{endpoint_id} https://example.com (Warehouse): enabled, 0 queued, 0 failed\n"


def test_the_list_names_disabled_endpoints_and_failed_deliveries(shop: Shop) -> None:
    endpoint_id, _, number = failed_delivery()
    assert "enabled, 0 queued, 1 failed" in run(shop, ["webhook-endpoints", "list"])
    assert invoke(shop, "webhook-endpoints", "resend", endpoint_id, "--delivery", number).exit_code == 0
    assert "enabled, 1 queued, 0 failed" in run(shop, ["webhook-endpoints", "list"])
    run(shop, ["webhook-endpoints", "disable", endpoint_id])
    assert "disabled (staff), 0 queued, 1 failed" in run(shop, ["webhook-endpoints", "list"])


def test_failed_deliveries_since_a_time_are_sent_again(shop: Shop) -> None:
    endpoint_id, *_ = failed_delivery()
    again = ["webhook-endpoints", "resend", endpoint_id, "--failed-since"]
    assert run(shop, [*again, "2999-01-01T00:00Z"]) == "Failed deliveries queued again: 0.\n"
    assert run(shop, [*again, "2000-01-01T00:00Z"]) == "Failed deliveries queued again: 1.\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["add", "http://example.com/"], "https"),
        (["rotate", "we_unknown"], "There is no such endpoint."),
        (["resend", "we_unknown"], "Use either --delivery or --failed-since."),
        (["resend", "we_unknown", "--delivery", "1"], "There is no such endpoint."),
    ],
)
def test_a_wrong_argument_is_refused_in_a_sentence(shop: Shop, arguments: list[str], sentence: str) -> None:
    done = invoke(shop, "webhook-endpoints", *arguments)
    assert done.exit_code == 1 and sentence in done.output, done.output


def test_nothing_is_sent_again_to_a_disabled_endpoint(shop: Shop) -> None:
    done = invoke(shop, "webhook-endpoints", "resend", disabled_endpoint(), "--delivery", "1")
    assert done.exit_code == 1 and "The endpoint is disabled." in done.output


def test_keys_are_listed_without_their_secrets_and_revoked_for_good(shop: Shop) -> None:
    made = api_keys.make("Export", ["order.read"], by=shop.sam)
    listed = run(shop, ["api-keys", "list"])
    assert "sam@example.com, Export: order.read; never used" in listed and made.text not in listed
    assert made.text[-20:] not in listed
    assert run(shop, ["api-keys", "revoke", str(made.id)]) == "The key is revoked.\n"
    assert ", revoked " in run(shop, ["api-keys", "list"])
    with pytest.raises(api_keys.InvalidToken):
        api_keys.find(made.text)
    unknown = invoke(shop, "api-keys", "revoke", "999")
    assert unknown.exit_code == 1 and "There is no such API key." in unknown.output
