# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of guest.domain and hypervisor on libvirt's test driver, without QEMU, daemon or root."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import HypervisorError
from harness.guest import domain, hypervisor
from harness.guest.domain import Domain, DomainState
from harness.guest.hypervisor import Hypervisor

XML = """
<domain type='test'>
  <name>harness-one</name>
  <uuid>6f1c2f5e-0d5e-4b8e-9d53-0a3b8a5d8f10</uuid>
  <memory unit='MiB'>8</memory>
  <os><type>hvm</type></os>
</domain>
"""


@pytest.fixture
def hv(tmp_path: Path) -> Iterator[Hypervisor]:
    """Give a connection to libvirt's test driver, which begins with a domain named `test`.

    All connections of a process share its state, so each test must remove its domains.
    """
    with hypervisor.connect(
        "test:///default", runtime=tmp_path, cache=tmp_path, mask_kvm=False
    ) as conn:
        yield conn
        domain.destroy_by_name(conn, "harness-one")


def kinds(running: Domain, count: int) -> list[str]:
    """Return the kinds of the first `count` events of a domain, once that many have arrived."""
    end = time.monotonic() + 5
    while len(running.events) < count and time.monotonic() < end:
        time.sleep(0.01)
    return [event.kind for event in running.events]


def test_with_a_libvirt_uri_given_by_the_user_no_private_daemon_is_started(
    hv: Hypervisor, tmp_path: Path
) -> None:
    """A connection to test:///default starts no daemon and writes no file; detach does nothing."""
    hv.detach()

    assert (hv.uri, hv.private, hv.daemon_pid) == ("test:///default", False, None)
    assert "libvirt" in hv.versions
    assert list(tmp_path.iterdir()) == []


def test_suspend_and_resume_of_a_domain_change_its_state_and_record_an_event(
    hv: Hypervisor,
) -> None:
    """On libvirt's test driver, Domain.suspend and resume set PAUSED and RUNNING, with an event.

    After its block the domain is gone.
    """
    with Domain.create(hv, XML, paused=False) as running:
        running.suspend()
        suspended = running.state()
        running.resume()

        assert suspended is DomainState.PAUSED
        assert running.state() is DomainState.RUNNING
        assert kinds(running, 2) == ["suspended", "resumed"]
    assert running.state() is DomainState.GONE


def test_a_second_destroy_does_nothing(hv: Hypervisor) -> None:
    """Domain.destroy on a domain that was destroyed before raises no error."""
    running = Domain.create(hv, XML, paused=False)

    running.destroy()
    running.destroy()

    assert domain.find(hv, "harness-") == []


def test_an_exception_inside_a_domains_with_block_destroys_the_domain_and_is_passed_on(
    hv: Hypervisor,
) -> None:
    """A KeyboardInterrupt in the block of Domain.create leaves no domain."""
    with pytest.raises(KeyboardInterrupt), Domain.create(hv, XML, paused=False):
        raise KeyboardInterrupt

    assert domain.find(hv, "harness-") == []


def test_a_domain_runs_on_after_a_call_of_keep_and_can_be_attached_again(hv: Hypervisor) -> None:
    """After Domain.keep the domain runs on; domain.attach joins it and leaves it running."""
    with Domain.create(hv, XML, paused=False) as running:
        running.keep()

    with domain.attach(hv, "harness-one") as joined:
        assert joined.state() is DomainState.RUNNING
    assert domain.find(hv, "harness-") == ["harness-one"]
    assert domain.destroy_by_name(hv, "harness-one")


def test_a_domain_is_neither_found_by_a_prefix_its_name_lacks_nor_destroyed_by_another_name(
    hv: Hypervisor,
) -> None:
    """Of libvirt's only domain "test", find("harness-") returns none, and it is not destroyed."""
    assert domain.find(hv, "harness-") == []
    assert not domain.destroy_by_name(hv, "harness-one")
    assert domain.find(hv, "") == ["test"]


def test_save_ends_the_domain(hv: Hypervisor, tmp_path: Path) -> None:
    """Domain.save writes a file, and libvirt's test driver then has the domain off or gone."""
    saved = tmp_path / "saved"
    running = Domain.create(hv, XML, paused=False)

    running.save(saved)

    assert saved.is_file()
    assert running.state() in {DomainState.GONE, DomainState.SHUTOFF}


@pytest.mark.parametrize("xml", ["", "<domain", "<domain type='qemu'><name>x</name></domain>"])
def test_bad_xml_is_a_hypervisor_error(hv: Hypervisor, xml: str) -> None:
    """Domain.create raises HypervisorError "cannot be created" for invalid domain XML."""
    with pytest.raises(HypervisorError, match="cannot be created"):
        Domain.create(hv, xml)


def test_a_file_that_is_no_snapshot_is_refused(hv: Hypervisor, tmp_path: Path) -> None:
    """Domain.restore of a truncated file raises HypervisorError with the file's name."""
    broken = tmp_path / "broken"
    broken.write_bytes(b"LibvirtQ")

    with pytest.raises(HypervisorError, match="broken"):
        Domain.restore(hv, broken, XML)


def test_an_unsupported_operation_is_a_hypervisor_error(hv: Hypervisor) -> None:
    """Console, monitor and port forwarding, which the test driver lacks, raise that error."""
    with Domain.create(hv, XML, paused=False) as running:
        with pytest.raises(HypervisorError):
            running.open_console()
        with pytest.raises(HypervisorError):
            running.forward_ssh(attempts=1)
        with pytest.raises(HypervisorError):
            running.hmp("info status")
