"""Starting and stopping the six systems as separate processes.

Every system runs as `python -m <module>.main --config DATA/<system>/config.toml` (by way of
`services.chassis.launch`, which starts it faster), in a process group of its own, with a log file
of its own (`DATA/<system>/service.log`). Ready means that the system says so itself
(`GET /readyz` answers 200), not that some time has passed.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from stack.errors import UNREACHABLE, USAGE, CommandError
from stack.layout import (
    FIRST_PORT,
    Addresses,
    Stack,
    choose_ports,
    is_free,
    load_stack,
    ports_of,
    read_facts,
    read_token,
    save_stack,
    stack_file,
    write_config,
)
from stack.systems import PEERS, SYSTEM, SYSTEMS

HOST = "127.0.0.1"
START_LIMIT = 60.0  # seconds until a system that is not ready counts as failed
PORT_TRIES = 3
CANNOT_LISTEN = "cannot listen on"  # what a system says whose port somebody else has
LAUNCHER = "services.chassis.launch"
STOP_LIMIT = 10.0  # seconds until a system that does not stop is killed

ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?/?")

Detours = Mapping[tuple[str, str], str]
"""Caller and callee, and the base URL at which the caller is told the callee is."""


def read_detours(texts: list[str]) -> dict[tuple[str, str], str]:
    """Detours as they are written on the command line: `CALLER:CALLEE=URL` each.

    Raises:
        CommandError: not of that form, a pair that never talks, or a URL that is not an http
            origin (exit code 2).
    """
    found: dict[tuple[str, str], str] = {}
    for text in texts:
        pair, equals, url = text.partition("=")
        caller, colon, callee = pair.partition(":")
        if not equals or not colon or callee not in PEERS.get(caller, ()):
            pairs = ", ".join(f"{one}:{other}" for one, others in PEERS.items() for other in others)
            raise CommandError(
                f"{text!r}: expected CALLER:CALLEE=URL with CALLER:CALLEE one of {pairs}", USAGE
            )
        if not ORIGIN.fullmatch(url):
            raise CommandError(f"{url!r}: expected an origin such as http://127.0.0.1:9000", USAGE)
        found[caller, callee] = url.rstrip("/")
    return found


def is_running(pid: int) -> bool:
    """Whether a process with that identifier exists and is not a zombie of ours."""
    try:
        finished, _ = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        finished = 0
    if finished == pid:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def runs(stack: Stack, system: str) -> bool:
    """Whether the process that the stack's folder names for a system still is that system.

    After a restart of the machine, or long after its end, another's process may have its number,
    that of the same system of another stack too: whose it is, its configuration file says.
    """
    pid = stack.pids[system]
    if not is_running(pid) or stack.data is None:
        return False
    command = command_of(pid)
    if SYSTEM[system].module not in command or "--config" not in command[:-1]:
        return False
    config = Path(command[command.index("--config") + 1])
    return config.resolve().parent == (stack.data / system).resolve()


def command_of(pid: int) -> list[str]:
    """The words of the command that a process was started with; none where it has ended."""
    if Path("/proc/self/cmdline").exists():
        try:
            octets = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return []
        return os.fsdecode(octets).split("\0")[:-1]
    asked = subprocess.run(
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return asked.stdout.split()


def cpu_seconds(stack: Stack) -> dict[str, float]:
    """CPU seconds that each system has used so far; without those that nobody can be asked about.

    Where there is no `/proc`, and in containers, that is all of them.
    """
    tick = os.sysconf("SC_CLK_TCK")
    used: dict[str, float] = {}
    for system, pid in stack.pids.items():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        used[system] = (int(fields[11]) + int(fields[12])) / tick  # utime, stime: proc(5)
    return used


def why_not_ready(stack: Stack, system: str, http: httpx.Client) -> str | None:
    """None if a system of this stack is ready where the stack says that it listens.

    Who answers there is asked: another stack's system may have taken the port. It knows another
    lab credential, or is another process; where no credential is known, nothing can be asked.
    """
    lab = stack.services[system].lab
    token = stack.lab_tokens.get(system)
    if token is None and stack.data is not None:
        token = read_token(stack.data, system)
    try:
        answer = http.get(f"{lab}/readyz")
        if not answer.is_success:
            return answer.text[:300]
        if token is None:
            return None
        answer = http.get(f"{lab}/lab/party", headers={"Authorization": f"Bearer {token}"})
        who = answer.json() if answer.is_success else {}
    except (httpx.TransportError, ValueError):
        return "no answer"
    if who.get("party") != system:
        return "another's answers there: it does not know this stack's lab credential"
    if system in stack.pids and who.get("process") != stack.pids[system]:
        return f"another process answers there: {who.get('process')}"
    return None


def start(
    data: Path,
    progress: Callable[[str], None],
    first_port: int | None = FIRST_PORT,
    detours: Detours | None = None,
    block_size: int | None = None,
    *,
    port: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Stack:
    """Start the six systems of the data folder and wait until each says that it is ready.

    Args:
        data: a folder that a key ceremony has filled.
        progress: told one short sentence per system.
        first_port: the ports to prefer begin here; None: any that are free. Before them come the
            ports on which the stack of this folder listened last.
        detours: where a caller is told a callee is, if not where it listens: a proxy between.
        block_size: octets to a block, for commands to devices; None: whole messages.
        port: the first of the twelve ports to listen on, and no others will do.
        settings: of every system, beside its own.

    Returns:
        the running stack, also written to `DATA/stack.json`.

    Raises:
        CommandError: a system did not become ready; what it logged last is in the message, and
            the systems that did start are stopped again.
    """
    data = data.resolve()
    before: list[int] = []
    if stack_file(data).is_file():
        old = load_stack(data)
        if any(runs(old, system) for system in old.pids):
            raise CommandError(f"a stack is already running in {data}: `cos down --data {data}`")
        before = ports_of(old)
    count = 2 * len(SYSTEMS)
    if port is not None:
        ports = list(range(port, port + count))
        if taken := [one for one in ports if not is_free(one)]:
            raise CommandError(f"port {taken[0]} is taken, of {port} to {ports[-1]}", UNREACHABLE)
        return start_on(data, ports, progress, detours, block_size, settings=settings)
    for _ in range(PORT_TRIES - 1):
        try:
            ports = choose_ports(count, first_port, before)
            if before and ports != before:
                progress("not all ports it had before are free: it listens on others")
            return start_on(data, ports, progress, detours, block_size, settings=settings)
        except CommandError as error:
            if CANNOT_LISTEN not in str(error):
                raise
            first_port, before = None, []  # somebody took a port between our choice and its use
    ports = choose_ports(count, None)
    return start_on(data, ports, progress, detours, block_size, settings=settings)


def start_on(
    data: Path,
    ports: list[int],
    progress: Callable[[str], None],
    detours: Detours | None = None,
    block_size: int | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
) -> Stack:
    """Start the six systems on those ports, two for each; see `start`."""
    urls = {
        system: Addresses(
            f"http://{HOST}:{ports[2 * index]}", f"http://{HOST}:{ports[2 * index + 1]}"
        )
        for index, system in enumerate(SYSTEMS)
    }
    stack = Stack(data, urls, facts=read_facts(data))

    def reach(caller: str, callee: str) -> str:
        return (detours or {}).get((caller, callee), urls[callee].interface)

    try:
        for index, system in enumerate(SYSTEMS):
            listen = {
                "interface": (HOST, ports[2 * index]),
                "lab": (HOST, ports[2 * index + 1]),
            }
            extra = dict(settings or {})
            if system == "acb" and block_size is not None:
                extra["block_size"] = block_size
            config = write_config(data, system, listen, partial(reach, system), extra)
            stack.pids[system] = launch(data, system, config)
        save_stack(stack)
        for system in SYSTEMS:
            wait_until_ready(stack, system)
            progress(f"{system} is ready on {urls[system].interface}")
    except BaseException:
        stop(stack)
        raise
    return load_stack(data)


def launch(data: Path, system: str, config: Path) -> int:
    """Start one system in a session of its own, logging to its own file; returns its process id."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    # Six processes that compile every module anew would need twice as long.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return os.posix_spawn(
        sys.executable,
        # -P: the working folder may have modules of the same names, which are somebody else's.
        [sys.executable, "-P", "-m", LAUNCHER, SYSTEM[system].module, "--config", str(config)],
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(data / system / "service.log"), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )


def wait_until_ready(stack: Stack, system: str, limit: float = START_LIMIT) -> None:
    """Ask a system whether it is ready until it says yes, and is this stack's (`why_not_ready`).

    Raises:
        CommandError: it ended, or did not say yes within `limit` seconds (exit code 4).
    """
    assert stack.data is not None
    deadline = time.monotonic() + limit
    last: str | None = "no answer"
    with httpx.Client(timeout=2.0) as client:
        while time.monotonic() < deadline:
            if not runs(stack, system):
                last = "the process ended"
                break
            last = why_not_ready(stack, system, client)
            if last is None:
                return
            time.sleep(0.05)
    log = stack.data / system / "service.log"
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.is_file() else ""
    raise CommandError(f"{system} is not ready: {last}\n{tail}", UNREACHABLE)


def stop(stack: Stack) -> list[str]:
    """Ask every system to end, and end it where it does not; returns those that were running."""
    running = {name: pid for name, pid in stack.pids.items() if runs(stack, name)}
    for pid in running.values():
        signal_process(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_LIMIT
    waiting = dict(running)
    while waiting and time.monotonic() < deadline:
        waiting = {name: pid for name, pid in waiting.items() if runs(stack, name)}
        if waiting:
            time.sleep(0.05)
    for pid in waiting.values():
        signal_process(pid, signal.SIGKILL)
    return list(running)


def signal_process(pid: int, what: signal.Signals) -> None:
    """Send a signal to a process that may have ended meanwhile."""
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        return
