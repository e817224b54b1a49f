# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Fixtures for tests of a kernel module in a guest: `guest`, `driver`, `variant`, `long_run`.

Under `invoke kernel-test` the tests join the guest of that run and report by KTAP. Under plain
pytest (`pytest FOLDER`) the same fixtures build the module, boot a guest and load the module
first, and remove the guest at the end. Every test that uses the guest marks its begin and its end
in the kernel's log, so that each line of the kernel belongs to a known test.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.errors import CommandOverdue, GuestLost, HarnessError
from harness.guest import shared_session
from harness.guest.shared_session import Handoff
from harness.host import config
from harness.host.defaults import FIRST_TEST
from harness.model.loaded_module import LoadedModule
from harness.model.request import KernelTestRequest
from harness.model.settings import ModuleSpec, Settings, System
from harness.pytest_ktap import KtapPrinter
from harness.pytest_listing import Listing, name_of_item
from harness.report import live_view
from harness.runs import kernel_test
from harness.systems.platforms import PLATFORMS, Platform
from harness.systems.ssh import Guest

_MARKER_HELP = (
    "crashes(kind=, function='', place='', module='', fatal=None): the test makes the kernel "
    "report this fault, and passes when the harness finds it and names it so"
)
_RECORDABLE_HELP = (
    "recordable(command='', variant=''): the test's part in the guest is this command, with this "
    "variant of the module; kernel-test --record runs it in a guest without a network"
)
_STATE = pytest.StashKey["_State"]()
_PACKAGE = Path(__file__).resolve().parent
_EVIDENCE = "what was seen last"


@dataclass
class _State:
    """The plugin's state in one pytest process; `guest` is set when a test first uses one."""

    guest: Guest | None = None
    platform: Platform = PLATFORMS[System.LINUX]
    ktap: KtapPrinter | None = None


@dataclass(frozen=True, kw_only=True)
class Driver:
    """The module under test in the guest, which a test can load, unload and ask for its state.

    The fixture `driver` provides it loaded. A test may unload it; before the next test it is
    loaded again. The deadlines of `guest` are not multiplied for an emulated guest, as those of
    the fixture `guest` are. `load_s`, the deadline for loading, is already multiplied.
    """

    guest: Guest
    spec: ModuleSpec
    handoff: Handoff
    load_s: float

    @property
    def platform(self) -> Platform:
        """The functions that load modules on this guest's system."""
        return PLATFORMS[self.handoff.system]

    def load(self, **parameters: str) -> LoadedModule:
        """Load the module; `parameters` are added to those of the configuration.

        In a control run, which does without the module, the test is skipped.
        Raises: ModuleError when the kernel refuses the module.
        """
        if self.handoff.control:
            pytest.skip("a control run does not load the module")
        configured = self.handoff.build.parameters(self.spec)
        merged = {**configured, **parameters}
        return self.platform.load(self.guest, self.spec, deadline_s=self.load_s, parameters=merged)

    def unload(self, *, attempts: int = 1) -> None:
        """Unload the module in up to `attempts` tries; ModuleError names who still uses it."""
        self.platform.unload(self.guest, self.spec, deadline_s=self.load_s, attempts=attempts)

    def is_loaded(self) -> bool:
        """Return whether the module is loaded in the guest's kernel."""
        return self.platform.is_loaded(self.guest, self.spec)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add this plugin's options to pytest, such as --long, --ktap-fd and --harness-list."""
    group = parser.getgroup("harness", "kernel module tests in a guest")
    group.addoption("--long", action="store_true", help="run tests in their long form")
    group.addoption(
        "--harness-config", metavar="FILE", help="the pyproject.toml with the configuration"
    )
    group.addoption(
        "--harness-only", metavar="FILE", help="run only the tests that this file lists by name"
    )
    group.addoption(
        "--harness-list", metavar="FILE", help="write the tests and what they announce, as JSON"
    )
    group.addoption(
        "--harness-names",
        metavar="FILE",
        help="list the names in this file as tests, too, so that -k selects among them",
    )
    group.addoption("--ktap-fd", type=int, help="write KTAP to this file descriptor")


def pytest_configure(config: pytest.Config) -> None:
    """Create the plugin's state, the printer for --ktap-fd and the listing for --harness-list."""
    state = _State()
    config.stash[_STATE] = state
    config.addinivalue_line("markers", _MARKER_HELP)
    config.addinivalue_line("markers", _RECORDABLE_HELP)
    descriptor = config.getoption("--ktap-fd")
    if descriptor is not None:
        state.ktap = KtapPrinter(config, descriptor)
        config.pluginmanager.register(state.ktap, "harness-ktap")
    file = config.getoption("--harness-list")
    if file is not None:
        config.pluginmanager.register(Listing(config, Path(file)), "harness-listing")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests whose names are not in the file that --harness-only gives."""
    file = config.getoption("--harness-only")
    if file is not None:
        chosen = set(Path(file).read_text().splitlines())
        gone = [item for item in items if name_of_item(config, item.nodeid) not in chosen]
        items[:] = [item for item in items if name_of_item(config, item.nodeid) in chosen]
        config.hook.pytest_deselected(items=gone)


@pytest.fixture(scope="session")
def harness_settings(request: pytest.FixtureRequest) -> Settings:
    """Return the configuration of the project under test, read once in a pytest session."""
    run = config.environment().run
    if run is not None:
        return config.load(shared_session.read(run).settings_file)
    option = request.config.getoption("--harness-config")
    return config.load(Path(option)) if option else config.load_nearest(request.config.rootpath)


@pytest.fixture(scope="session")
def harness_handoff(harness_settings: Settings) -> Iterator[Handoff]:
    """Return the data of kernel-test's guest; under plain pytest, of a guest that is started here.

    If no guest can be started, pytest ends with the exit code of the error. If the kernel of the
    guest that was started here has reported a fault, the last test gets an error at the end.
    """
    environment = config.environment()
    if environment.run is not None:
        yield shared_session.read(environment.run)
        return
    request = KernelTestRequest(
        settings=harness_settings, environment=environment, target_name=None
    )
    try:
        with kernel_test.load_guest(request, live_view.PlainView()) as loaded:
            yield loaded.handoff
            # Under kernel-test the run judges what the kernel reported; here nobody else does.
            reports = loaded.session.watch.reports
            if reports:
                pytest.fail(f"the kernel reported: {reports[0].title}", pytrace=False)
    except HarnessError as error:
        lines = [error.message, error.hint, *error.evidence]
        # No other test would get a guest either.
        pytest.exit("\n".join(line for line in lines if line), returncode=error.exit_code)


@pytest.fixture(scope="session")
def harness_connection(
    request: pytest.FixtureRequest, harness_handoff: Handoff, harness_settings: Settings
) -> Iterator[Guest]:
    """Return the session's SSH connection; `guest` is the same with multiplied deadlines."""
    limit = harness_settings.timeouts.ssh_s * harness_handoff.factor
    # The guest has booted, and its console, which would show its death, belongs to whoever started
    # it.
    with Guest.connect(harness_handoff.endpoint, deadline_s=limit, alive=lambda: None) as guest:
        state = request.config.stash[_STATE]
        state.guest, state.platform = guest, PLATFORMS[harness_handoff.system]
        yield guest
    # The hooks below would otherwise write marks over a closed connection.
    request.config.stash[_STATE].guest = None


@pytest.fixture(scope="session")
def guest(harness_connection: Guest, harness_handoff: Handoff) -> Guest:
    """Return the guest. The deadline of every command is multiplied for an emulated guest.

    When a command passes its deadline and the test fails of it, the harness asks the guest's
    kernel what it is doing, explains that, and replaces the guest.
    """
    return harness_connection.stretched(harness_handoff.factor)


@pytest.fixture
def driver(
    harness_connection: Guest, harness_handoff: Handoff, harness_settings: Settings
) -> Driver:
    """Return the module under test, loaded; in a control run it is not loaded."""
    driver = Driver(
        guest=harness_connection,
        spec=harness_settings.module,
        handoff=harness_handoff,
        load_s=harness_settings.timeouts.load_s * harness_handoff.factor,
    )
    if not driver.is_loaded() and not harness_handoff.control:
        driver.load()
    return driver


@pytest.fixture
def variant(
    harness_connection: Guest, harness_handoff: Handoff, harness_settings: Settings
) -> Iterator[Callable[[str], Driver]]:
    """Return a function from a key of [tool.harness.module.variants] to that variant.

    The variant is not loaded yet. If it is loaded at the end of the test, it is unloaded.
    """
    variants: list[Driver] = []

    def get(key: str) -> Driver:
        spec = harness_settings.module.variant(key)
        limit = harness_settings.timeouts.load_s * harness_handoff.factor
        driver = Driver(guest=harness_connection, spec=spec, handoff=harness_handoff, load_s=limit)
        variants.append(driver)
        return driver

    yield get
    for driver in variants:
        if driver.is_loaded():
            # A process of the test may keep the device open for some moments after the test.
            driver.unload(attempts=10)


@pytest.fixture
def long_run(request: pytest.FixtureRequest) -> bool:
    """Return whether the tests should run in their long form."""
    return bool(request.config.getoption("--long"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Announce to the run a command that passes its deadline during the setup of a test."""
    with _overdue_announced(item.config.stash[_STATE]):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Mark the begin and the end of a test that uses the guest in the guest's kernel log.

    A command that passes its deadline during the test is announced to the run. If the guest is
    lost at the end of the test, pytest ends with exit code 4.
    """
    state = item.config.stash[_STATE]
    # The connection stays open for later tests, so it does not show whether this test uses the
    # guest.
    guest = state.guest
    if guest is None or "harness_connection" not in getattr(item, "fixturenames", ()):
        with _overdue_announced(state):
            return (yield)
    name = name_of_item(item.config, item.nodeid)
    state.platform.mark(guest, f"harness-test-begin {name}")
    try:
        with _overdue_announced(state):
            return (yield)
    finally:
        _mark_end(state, guest, name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Announce to the run a command that passes its deadline during the teardown of a test."""
    with _overdue_announced(item.config.stash[_STATE]):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shorten the traceback of an error of the harness, and add the error's evidence.

    The traceback keeps only the entries outside of the harness, such as the test's own lines.
    """
    error = call.excinfo
    if error is None or not isinstance(error.value, HarnessError):
        return (yield)
    own = [entry for entry in error.traceback if not _is_of_harness(Path(entry.path))]
    if own:
        error.traceback = type(error.traceback)(own)
    report = yield
    if error.value.evidence:
        report.sections.append((_EVIDENCE, "\n".join(error.value.evidence)))
    return report


def _is_of_harness(file: Path) -> bool:
    # The first test ships with the harness, but it is a test, whose lines matter.
    return file.is_relative_to(_PACKAGE) and not file.is_relative_to(FIRST_TEST)


@contextmanager
def _overdue_announced(state: _State) -> Iterator[None]:
    """Tell kernel-test, by KTAP, when the block fails because a command passed its deadline.

    The run then explains the guest. A test that catches the error announces nothing.
    """
    try:
        yield
    except BaseException as error:
        overdue = next((one for one in _chain(error) if isinstance(one, CommandOverdue)), None)
        if overdue is not None and state.ktap is not None:
            state.ktap.announce("overdue", overdue.message)
        raise


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it was raised from or during."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _mark_end(state: _State, guest: Guest, name: str) -> None:
    try:
        state.platform.mark(guest, f"harness-test-end {name}")
    except GuestLost as error:
        if state.ktap is not None:
            state.ktap.announce("unreachable", error.message)
        # Each later test would wait for its own deadlines and fail in the same way.
        pytest.exit(f"the guest was lost during {name}: {error.message}", returncode=4)
