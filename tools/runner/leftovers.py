"""Exclusive use of a data folder by one run, and cleanup of its processes afterwards.

Every process of a run carries SETTLED_RUN, the path of its data, in its environment. Process groups would not do: RQ's
work-horses and gunicorn's workers outlive a killed parent in groups of their own.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import environment
from say import Trouble

MARK = "SETTLED_RUN"


def lock(var: Path) -> TextIO:
    """Lock the data folder until the returned file is closed. Raises Trouble when another run has it."""
    file = (var / "run.lock").open("a+")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not flock: forked children would keep holding it
    except OSError:
        file.seek(0)
        pid = file.read().strip() or "unknown"
        said = f"Settled already runs on {var} (process {pid}). End it there with Ctrl-C, or here:  kill {pid}"
        raise Trouble(said + _where(var)) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _where(var: Path) -> str:
    """The addresses of the run on `var`; empty until it has written them."""
    settings = environment.read(var / "env")
    if not {"SHOP_URL", "ACQUIRER_PUBLIC_URL"} <= settings.keys():
        return ""
    return f"\n\n  Shop      {settings['SHOP_URL']}\n  Acquirer  {settings['ACQUIRER_PUBLIC_URL']}"


def of(var: Path) -> list[int]:
    """The processes marked with `var`, except this one and its parents. Linux only; empty elsewhere."""
    mark, mine, found = f"{MARK}={var}".encode(), _lineage(), []
    for folder in Path("/proc").glob("[0-9]*") if Path("/proc/self/environ").exists() else ():
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:  # ended meanwhile, or another user's
            continue
        if mark in environment.split(b"\0") and int(folder.name) not in mine:
            found.append(int(folder.name))
    return found


def end(var: Path, patience: float) -> int:
    """End all processes marked with `var`: SIGTERM, then SIGKILL after `patience` seconds. Returns their number."""
    seen: set[int] = set()
    deadline = time.monotonic() + patience
    while pids := of(var):
        kill = time.monotonic() > deadline
        for pid in pids:
            if kill or pid not in seen:
                _signal(pid, signal.SIGKILL if kill else signal.SIGTERM)
        seen.update(pids)
        time.sleep(0.05)
    return len(seen)


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _lineage() -> set[int]:
    """This process and its parents: `end` must not kill the run itself."""
    pids, pid = set(), os.getpid()
    while pid > 1 and pid not in pids:
        pids.add(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
    return pids


def ports_are_free(settings: Mapping[str, str]) -> None:
    """Raise Trouble, naming each, when a port to listen on is in use."""
    taken = [name for name in ("PORT", "ACQUIRER_PORT") if not _is_free(settings["BIND_ADDRESS"], int(settings[name]))]
    if taken:
        numbers = " and ".join(settings[name] for name in taken)
        other = " ".join(f"{name}={int(settings[name]) + 10}" for name in taken)
        verb = "is" if len(taken) == 1 else "are"
        raise Trouble(
            f"Port {numbers} {verb} in use by another program. Nothing was started.\n"
            f"End it, or choose another:  {other} bin/run"
        )


def _is_free(host: str, port: int) -> bool:
    """True when `port` is free: it is bound as the server binds it, and connected to at every address of localhost."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EACCES:
                raise Trouble(f"Port {port} may only be opened by root; choose one above 1023.") from None
            if error.errno != errno.EADDRINUSE:
                raise Trouble(f"Cannot listen on {host} port {port}: {error.strerror}.") from None
            return False
    return not any(_answers(address, port) for address in ("127.0.0.1", "::1"))


def _answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=0.2).close()
    except OSError:
        return False
    return True
