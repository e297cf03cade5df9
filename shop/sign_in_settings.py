"""Settings of sign-ins: second factor and limits of staff, and issuers of identities."""

from __future__ import annotations

from shop.setting_kinds import FirebaseProject, SecondFactorRule, Setting, WebAddress

SIGN_IN: tuple[Setting, ...] = (
    Setting(
        "STAFF_SECOND_FACTOR",
        "",
        "`required`: staff set up a passkey or an authenticator app before they open any page of the console. "
        "`optional`: they may. Empty: optional in development, required in production, which does not start with "
        "`optional`.",
        SecondFactorRule,
    ),
    Setting(
        "STAFF_IDLE_MINUTES",
        "30",
        "Minutes without a request after which staff are signed out, also of the API.",
        int,
        least=1,
    ),
    Setting("STAFF_SIGN_IN_HOURS", "12", "Hours after which staff are signed out in any case.", int, least=1),
    Setting(
        "STAFF_CONFIRM_MINUTES",
        "15",
        "Minutes after a sign-in or a confirmation by password or passkey for which sensitive acts of staff need none.",
        int,
        least=1,
    ),
    Setting(
        "OIDC_ISSUER",
        "",
        "Address of an OpenID Connect issuer, exactly as its ID tokens name it; https in production. It needs "
        "OIDC_CLIENT_ID, OIDC_AUDIENCE or both. Empty: none.",
        WebAddress,
    ),
    Setting(
        "OIDC_CLIENT_ID",
        "",
        "Id of the shop at OIDC_ISSUER. With it the sign-in page offers a sign-in there, which returns to "
        "SHOP_URL`/sign-in/oidc/return`.",
    ),
    Setting(
        "OIDC_CLIENT_SECRET", "", "Secret of OIDC_CLIENT_ID; empty for a client that needs none (PKCE).", secret=True
    ),
    Setting(
        "OIDC_AUDIENCE",
        "",
        "Further audiences, by commas, of ID tokens that programs hand over, such as the ids of mobile clients.",
    ),
    Setting("OIDC_NAME", "", "Name of OIDC_ISSUER on pages, as in `Google`; empty: its host."),
    Setting(
        "FIREBASE_PROJECT_ID",
        "",
        "Firebase project whose ID tokens programs may hand over, from `https://securetoken.google.com/<id>`. Empty: "
        "none.",
        FirebaseProject,
    ),
)
