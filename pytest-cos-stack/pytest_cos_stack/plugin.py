"""What pytest loads: the options and fixtures; documented in docs/pytest-plugin.md.

No fixture acts by itself: a test that asks for none of them is not touched. A test that asked for
the stack and fails has in its report what every system says of the requests it made.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from pytest_cos_stack.command import VARIABLE, find_cos
from pytest_cos_stack.errors import CosError
from pytest_cos_stack.faults import Faults, Quirks
from pytest_cos_stack.meter import Meter
from pytest_cos_stack.stack import CosStack, Device, Submit, attached, started
from pytest_cos_stack.supplier import Supplier
from pytest_cos_stack.switches import Checks, Clock
from pytest_cos_stack.visible import visible

DEFAULT_COS_PARTY = "ecos_party"
MOST_TRACES = 10  # requests whose story is told in the report of one failing test
_SEEN = pytest.StashKey[dict[str, int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that say which stack, and which `cos`."""
    group = parser.getgroup("cos", "simulated change of supplier")
    group.addoption(
        "--cos-data",
        metavar="DIR",
        default=None,
        help="Use the running stack of this data folder (`cos up --data DIR --detach`) "
        "instead of starting one.",
    )
    group.addoption(
        "--cos-service",
        metavar="NAME=URL[,LAB_URL]",
        action="append",
        default=[],
        help="Use the stack whose services are at these base URLs; once per service.",
    )
    group.addoption(
        "--cos-lab-token",
        metavar="NAME=TOKEN",
        action="append",
        default=[],
        help="Lab credential of a service that is named by URL; once per service.",
    )
    group.addoption(
        "--cos-command",
        metavar="PATH",
        default=None,
        help=f"The cos command to start a stack and to sign with (or {VARIABLE}; "
        "else the one beside this Python, or on PATH).",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "cos_party(name): give this test's cos_device to a meter that trusts that CoS Party "
        f"(tcos_party or ecos_party; {DEFAULT_COS_PARTY} if not marked).",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Note what the broker has heard of before a test that uses the stack."""
    if (stack := _stack_of(item)) is not None:
        try:
            item.stash[_SEEN] = stack.requests_seen()
        except CosError:
            item.stash[_SEEN] = {}
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failing test's report the traces of the requests that it made."""
    report = yield
    stack = _stack_of(item)
    if stack is not None and report.when == "call" and report.failed:
        report.sections.extend(_traces(stack, item.stash.get(_SEEN, {})))
    return report


def _stack_of(item: pytest.Item) -> CosStack | None:
    found = getattr(item, "funcargs", {}).get("cos_stack")
    return found if isinstance(found, CosStack) else None


def _traces(stack: CosStack, before: dict[str, int]) -> list[tuple[str, str]]:
    """A section for each request that the broker has heard more of since, the latest last."""
    try:
        now = stack.requests_seen()
        made = [one for one, entries in now.items() if entries != before.get(one)][:MOST_TRACES]
        return [(visible(f"cos trace {one}"), str(stack.story(one))) for one in reversed(made)]
    except CosError as error:
        return [("cos trace", f"cannot be had: {error}")]


@pytest.fixture(scope="session")
def cos_stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CosStack]:
    """Six systems with their keys and meters, on free ports, ended with the session."""
    option = request.config.getoption
    named, services = option("--cos-data"), option("--cos-service")
    cos = partial(find_cos, option("--cos-command"))
    with ExitStack() as until_the_end:
        try:
            if named or services:
                folder = Path(named) if named else None
                given = attached(folder, services, option("--cos-lab-token"), cos)
            else:
                new = tmp_path_factory.mktemp("cos") / "stack"
                given = until_the_end.enter_context(started(new, cos()))
        except CosError as error:
            pytest.fail(f"no stack to test: {error}", pytrace=False)
        yield given


@pytest.fixture
def cos_suppliers(cos_stack: CosStack) -> dict[str, Supplier]:
    """The suppliers by name, each with its own keys, ready to write and sign requests."""
    return cos_stack.suppliers()


@pytest.fixture
def cos_device(request: pytest.FixtureRequest, cos_stack: CosStack) -> Device:
    """A meter as the key ceremony made it, held by supplier A, before each test."""
    marker = request.node.get_closest_marker("cos_party")
    cos_party = marker.args[0] if marker and marker.args else DEFAULT_COS_PARTY
    return cos_stack.fresh_device(cos_party)


@pytest.fixture
def cos_meter(cos_stack: CosStack, cos_device: Device) -> Meter:
    """What the meter itself says: its trust anchor cells, what it refused and why."""
    return Meter(cos_stack, cos_device.eui)


@pytest.fixture
def cos_submit(cos_stack: CosStack) -> Submit:
    """Send a signed document to the broker and wait for the outcome."""
    return cos_stack.submit


@pytest.fixture
def cos_checks(cos_stack: CosStack) -> Iterator[Checks]:
    """Every system's named checks, to be switched off; on again after the test."""
    checks = Checks(cos_stack)
    yield checks
    checks.restore()


@pytest.fixture
def cos_clock(cos_stack: CosStack) -> Iterator[Clock]:
    """The domain time of all systems, to be held or moved; real again after the test."""
    clock = Clock(cos_stack)
    yield clock
    clock.real()


@pytest.fixture
def cos_faults(cos_stack: CosStack) -> Iterator[Faults]:
    """Exactly this failure, the next so many times, at any system; disarmed after the test."""
    faults = Faults(cos_stack)
    yield faults
    faults.disarm()


@pytest.fixture
def cos_quirks(cos_stack: CosStack) -> Iterator[Quirks]:
    """Known oddities of real peers, which systems can be told to have; off after the test."""
    quirks = Quirks(cos_stack)
    yield quirks
    quirks.restore()
