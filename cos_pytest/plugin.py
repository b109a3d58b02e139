"""What pytest loads: the options and fixtures; documented in docs/pytest-plugin.md.

No fixture acts by itself: a test that asks for none of them is not touched. The systems' code is
imported when the first is asked for, so that loading the plugin costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cli.supplier import Supplier
    from cos_pytest.faults import Faults, Quirks
    from cos_pytest.stack import Checks, Clock, CosStack, Device, Meter, Submit

DEFAULT_COS_PARTY = "ecos_party"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--cos-data`."""
    parser.getgroup("cos", "simulated change of supplier").addoption(
        "--cos-data",
        metavar="DIR",
        default=None,
        help="Use the running stack of this data folder (`cos up --data DIR --detach`) "
        "instead of starting one.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "cos_party(name): give this test's cos_device to a meter that trusts that CoS Party "
        f"(tcos_party or ecos_party; {DEFAULT_COS_PARTY} if not marked).",
    )


@pytest.fixture(scope="session")
def cos_stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CosStack]:
    """Six systems with their keys and meters, on free ports, ended with the session."""
    from cli.errors import CommandError  # noqa: PLC0415 - see the module's docstring
    from cos_pytest import stack  # noqa: PLC0415 - see the module's docstring

    named = request.config.getoption("--cos-data")
    with ExitStack() as until_the_end:
        try:
            if named:
                running = stack.attached(Path(named))
            else:
                running = stack.started(tmp_path_factory.mktemp("cos") / "stack")
            given = until_the_end.enter_context(running)
        except CommandError as error:
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
    from cos_pytest.stack import Meter  # noqa: PLC0415 - see the module's docstring

    return Meter(cos_stack, cos_device.eui)


@pytest.fixture
def cos_submit(cos_stack: CosStack) -> Submit:
    """Send a signed document to the broker and wait for the outcome."""
    return cos_stack.submit


@pytest.fixture
def cos_checks(cos_stack: CosStack) -> Iterator[Checks]:
    """Every system's named checks, to be switched off; on again after the test."""
    from cos_pytest.stack import Checks  # noqa: PLC0415 - see the module's docstring

    checks = Checks(cos_stack)
    yield checks
    checks.restore()


@pytest.fixture
def cos_clock(cos_stack: CosStack) -> Iterator[Clock]:
    """The domain time of all systems, to be held or moved; real again after the test."""
    from cos_pytest.stack import Clock  # noqa: PLC0415 - see the module's docstring

    clock = Clock(cos_stack)
    yield clock
    clock.real()


@pytest.fixture
def cos_faults(cos_stack: CosStack) -> Iterator[Faults]:
    """Exactly this failure, the next so many times, at any system; disarmed after the test."""
    from cos_pytest.faults import Faults  # noqa: PLC0415 - see the module's docstring

    faults = Faults(cos_stack)
    try:
        yield faults
    finally:
        faults.disarm()


@pytest.fixture
def cos_quirks(cos_stack: CosStack) -> Iterator[Quirks]:
    """Known oddities of real peers, which systems can be told to have; off after the test."""
    from cos_pytest.faults import Quirks  # noqa: PLC0415 - see the module's docstring

    quirks = Quirks(cos_stack)
    try:
        yield quirks
    finally:
        quirks.restore()
