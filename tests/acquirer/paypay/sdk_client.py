"""Calls to an acquirer with PayPay's own library: one JSON line in, `[resource, method, argument]`, one line out.

A separate process, because the library needs an old setuptools. Arguments: base address, API key, secret.
"""

from __future__ import annotations

import contextlib
import json
import sys
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import paypayopa


def main() -> None:
    base_url, key, secret = sys.argv[1:]
    client = paypayopa.Client(auth=(key, secret), base_url=base_url)
    client.set_assume_merchant("demo")
    for line in sys.stdin:
        resource, method, argument = json.loads(line)
        with contextlib.redirect_stdout(sys.stderr):  # the library prints hints about errors
            answer = getattr(getattr(client, resource), method)(argument)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
