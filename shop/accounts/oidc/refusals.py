"""Refusals of sign-ins with an identity."""

from __future__ import annotations

from shop.accounts.oidc.decide import TokenProblem
from shop.core.errors import Away, Refusal
from shop.core.sentences import sentence


class TokenRefused(Refusal):
    """An ID token is not acceptable. `problem` is for logs; the message does not reveal it."""

    usual_status = 401

    def __init__(self, problem: TokenProblem) -> None:
        super().__init__(
            "id_token_refused",
            sentence("The sign-in with your other account could not be verified. Please try again."),
        )
        self.problem = problem


class AddressUnverified(Refusal):
    """The issuer has not verified the e-mail address."""

    usual_status = 401
    problem = TokenProblem.EMAIL

    def __init__(self) -> None:
        super().__init__(
            "identity_email_unverified",
            sentence(
                "The provider of your other account has not confirmed your e-mail address. Confirm it there first, or "
                "sign in with a password."
            ),
        )


class TokenUsed(Refusal):
    """The ID token was used before."""

    usual_status = 401

    def __init__(self) -> None:
        super().__init__("id_token_used", sentence("This sign-in was used already. Please sign in again."))


class NeedsConfirmation(Refusal):
    """An account has the address of the identity, and must confirm it by the link that was mailed to it (409)."""

    def __init__(self, email: str) -> None:
        message = sentence(
            "There is already an account with %(email)s. We have sent a link to this address. Open it to connect the "
            "two accounts, or sign in with your password.",
            email=email,
        )
        super().__init__("identity_needs_confirmation", message)


class NotForStaff(Refusal):
    """The account of the address is one of staff."""

    usual_status = 403

    def __init__(self) -> None:
        message = sentence("Sign in with your password. You can then connect your other account on your account page.")
        super().__init__("identity_of_staff", message)


class IdentityTaken(Refusal):
    """The identity belongs to another account of the shop (409)."""

    def __init__(self) -> None:
        super().__init__(
            "identity_taken", sentence("The other account is already connected to a different account in our shop.")
        )


class OnlySignIn(Refusal):
    """The identity is the only way to sign in (409)."""

    def __init__(self) -> None:
        message = sentence("This is your only way to sign in. Set a password first.")
        super().__init__("only_sign_in", message)


class Denied(Refusal):
    """The person has not continued at the issuer, or the issuer has refused."""

    usual_status = 422

    def __init__(self, name: str, *, by_person: bool) -> None:
        if by_person:
            message = sentence("You have not signed in with %(name)s. Nothing was changed.", name=name)
        else:
            message = sentence("%(name)s could not sign you in. Please try again in a minute.", name=name)
        super().__init__("identity_denied", message)


class RedirectEnded(Refusal):
    """The return from the issuer belongs to no sign-in of this browser that is waiting (422)."""

    usual_status = 422

    def __init__(self) -> None:
        message = sentence("This sign-in took too long, or was started in another tab. Please try again.")
        super().__init__("identity_redirect_ended", message)


def away(name: str) -> Away:
    """The refusal while an issuer cannot be reached."""
    message = sentence("%(name)s cannot be reached at the moment. Please try again, or sign in another way.", name=name)
    return Away("identity_away", message, retry_after=10)
