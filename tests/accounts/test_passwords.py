from __future__ import annotations

import subprocess
import sys

import pytest
from argon2 import PasswordHasher

from shop.accounts import passwords, throttle
from shop.core.errors import Away

PASSWORD = "paper lantern 7"


def test_the_delay_doubles_up_to_a_quarter_of_an_hour() -> None:
    minutes = [
        (pause := throttle.rest(n, 10)) and pause.total_seconds() / 60 for n in (9, 10, 11, 12, 13, 14, 15, 1000)
    ]
    assert minutes == [None, 1, 2, 4, 8, 15, 15, 15]


def test_a_hash_has_the_cost_that_owasp_recommends(password_hasher: PasswordHasher) -> None:
    """argon2id with 19 MiB, two passes and one lane: OWASP's password storage cheat sheet."""
    assert password_hasher.type.name == "ID"
    assert (password_hasher.memory_cost, password_hasher.time_cost, password_hasher.parallelism) == (19 * 1024, 2, 1)


def test_when_too_many_sign_ins_wait_the_next_one_gets_retry_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords._queue, "_value", 0)
    with pytest.raises(Away) as refused:
        passwords.make(PASSWORD)
    assert refused.value.retry_after > 0


UNDER_GEVENT = """
from gevent import monkey
monkey.patch_all()
import gevent
from shop.accounts import passwords
me = monkey.get_original("_thread", "get_ident")
ticks = 0
def tick():
    global ticks
    while True:
        ticks += 1
        gevent.sleep(0)
other = gevent.spawn(tick)
assert passwords._in_thread(me) != me(), "the work ran on the event loop's thread"
before = ticks
assert passwords.matches(passwords.make("paper lantern 7"), "paper lantern 7")
assert ticks > before + 10, "other requests stood still"
"""


@pytest.mark.full
def test_under_gevent_other_requests_go_on_while_a_password_is_hashed() -> None:
    done = subprocess.run([sys.executable, "-c", UNDER_GEVENT], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
