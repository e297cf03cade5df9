"""Requests as curl commands to copy. A key is written out only if it is the public demo key."""

from __future__ import annotations

import shlex

from flask import current_app

from mock_acquirer.models import DEFAULT_RUN, Attempt, Delivery, Payment

PUBLIC = {
    "ACQUIRER_CONTROL_TOKEN": "sim_demo",
    "ACQUIRER_KPAY_API_KEY": "kp_test_demo",
    "ACQUIRER_STRIPE_API_KEY": "sk_test_demo",
}
QUERIES = {
    # dialect: (setting of the key, address of the payment); tpay and paypay sign every call, so they have no fixed
    # command
    "kpay": ("ACQUIRER_KPAY_API_KEY", "/kpay/v1/payments/{id}"),
    "stripe": ("ACQUIRER_STRIPE_API_KEY", "/stripe/v1/checkout/sessions/cs_test_{digits}"),
}


def _key(setting: str) -> str:
    """The value if it is the public demo key, else the name of a shell variable for it."""
    value = current_app.config.get(setting, "")
    return str(value) if value == PUBLIC[setting] else f"${setting}"


def of_attempt(delivery: Delivery, attempt: Attempt) -> str:
    """The same attempt again, byte for byte. Its signature is no secret: it authorises nothing else."""
    headers = " ".join(f"-H {shlex.quote(f'{name}: {value}')}" for name, value in attempt.request_headers.items())
    return f"curl -i -X POST {shlex.quote(delivery.url)} {headers} --data-binary {shlex.quote(attempt.request_body)}"


def of_payment(payment: Payment) -> list[tuple[str, str]]:
    """(label, command): the merchant's query, where a bearer token is enough, and the control API's record."""
    base = current_app.config["ACQUIRER_PUBLIC_URL"]
    commands = []
    if payment.dialect in QUERIES:
        setting, path = QUERIES[payment.dialect]
        run = "" if payment.run == DEFAULT_RUN else f".{payment.run}"
        where = base + path.format(id=payment.id, digits=payment.id.removeprefix("pay_"))
        commands.append(("The merchant's query", f'curl {where} -H "Authorization: Bearer {_key(setting)}{run}"'))
    token = _key("ACQUIRER_CONTROL_TOKEN")
    chosen = "" if payment.run == DEFAULT_RUN else f" -H 'X-Sim-Run: {payment.run}'"
    command = f'curl {base}/_sim/payments/{payment.id} -H "Authorization: Bearer {token}"{chosen}'
    return [*commands, ("Full record", command)]
