"""Pages of people in a browser: accessible, and the acts of an admin, up to sign-ins with a code and with a passkey."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pyotp
import pytest
from playwright.sync_api import BrowserContext, Page, expect
from werkzeug.serving import make_server

from e2e.console_checks import Watch, is_sound
from shop.accounts import signin
from shop.core import clock
from shop.core.actor import Actor
from tests.ops.conftest import PASSWORD, visitor_as
from tests.shop_fixtures import Shop

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def served(shop: Shop) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, shop.app, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def admin(shop: Shop, served: str, new_context: Callable[..., BrowserContext]) -> Page:
    """A page of an admin who has signed in."""
    visitor_as(shop, "admin")
    page = new_context(base_url=served).new_page()
    sign_in(page)
    page.wait_for_url("**/ops")
    return page


def sign_in(page: Page) -> None:
    page.goto("/sign-in")
    page.get_by_label("E-mail").fill("admin@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("main").get_by_role("button", name="Sign in").click()


@pytest.mark.full
def test_an_admin_gives_roles_and_disables_an_account_on_accessible_pages(shop: Shop, admin: Page) -> None:
    watch = Watch(admin.context)
    signin.create("bo@example.com", "Bo", PASSWORD, ["support"], by=Actor.operator())
    admin.get_by_role("navigation", name="Console").get_by_role("link", name="Users and roles").click()
    admin.get_by_role("link", name="bo@example.com").click()
    admin.get_by_label("finance").check()
    admin.get_by_label("Reason").first.fill("promoted")
    admin.get_by_role("button", name="Save roles").click()
    expect(admin.get_by_role("heading", name="Waiting for a second admin")).to_be_visible()
    is_sound(admin)
    admin.goto("/ops/users")
    is_sound(admin)
    admin.get_by_role("link", name="bo@example.com").first.click()
    admin.get_by_label("Reason").last.fill("left")
    admin.get_by_role("button", name="Disable account").click()
    expect(admin.get_by_text("The account is disabled.")).to_be_visible()
    admin.goto("/ops/confirm")
    is_sound(admin)
    watch.silent()


@pytest.mark.full
def test_an_admin_sets_up_an_app_and_signs_in_with_its_code(shop: Shop, admin: Page) -> None:
    watch = Watch(admin.context)
    admin.goto("/ops/second-factor")
    is_sound(admin)
    admin.get_by_role("button", name="Set up an authenticator app").click()
    app = pyotp.TOTP(admin.locator("code").inner_text().replace(" ", ""))
    is_sound(admin)
    admin.get_by_label("Code").fill(app.generate_otp(int(clock.wall().timestamp()) // 30 - 1))
    admin.get_by_role("button", name="Confirm").click()
    expect(admin.get_by_role("heading", name="Recovery codes")).to_be_visible()
    is_sound(admin)
    admin.get_by_role("button", name="Sign out").click()
    sign_in(admin)
    expect(admin.get_by_role("heading", name="Enter your code")).to_be_visible()
    is_sound(admin)
    admin.get_by_label("Code").fill(app.at(clock.wall()))
    admin.locator("main").get_by_role("button", name="Sign in").click()
    admin.wait_for_url("**/ops")
    watch.silent()


@pytest.mark.full
def test_a_passkey_of_the_browser_is_added_signs_in_and_confirms_an_act(
    shop: Shop, served: str, new_context: Callable[..., BrowserContext]
) -> None:
    visitor_as(shop, "admin")
    shop.app.config["SHOP_URL"] = site = served.replace("127.0.0.1", "localhost")
    page = new_context(base_url=site).new_page()
    watch = Watch(page.context)
    watch.expect_status(401)
    with_virtual_authenticator(page)
    sign_in(page)
    page.wait_for_url("**/ops")
    page.goto("/ops/second-factor")
    page.get_by_label("Name of the passkey").fill("Laptop")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    page.goto("/ops/second-factor")
    is_sound(page)
    page.get_by_label("Name of the passkey").fill("Laptop again")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("alert")).to_have_text("This device has a passkey for your account already.")
    page.get_by_role("button", name="Sign out").click()
    sign_in(page)
    expect(page.get_by_role("heading", name="Confirm your sign-in")).to_be_visible()
    is_sound(page)
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/ops")
    page.goto("/ops/second-factor")
    shop.app.config["STAFF_CONFIRM_MINUTES"] = 0
    page.get_by_role("button", name="Remove Laptop").click()
    expect(page.get_by_role("heading", name="Confirm your password")).to_be_visible()
    is_sound(page)
    page.get_by_role("button", name="Use a passkey instead").click()
    expect(page.get_by_text("The passkey is removed.")).to_be_visible()
    watch.silent()


def with_virtual_authenticator(page: Page) -> None:
    """Give the browser an authenticator that verifies its person and answers at once."""
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    kind = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    options = {**kind, "isUserVerified": True, "automaticPresenceSimulation": True}
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": options})
