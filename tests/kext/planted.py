# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Faults to be planted in a copy of the kext's sources, each of which the scenarios must find."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Planted:
    """One fault: the text of a file that is replaced, and words of what is said of it."""

    file: str
    old: str
    new: str
    said: str


PLANTED: dict[str, Planted] = {
    "allocation-under-spin-lock": Planted(
        file="core/osq_ring.c",
        old="	claim(ring, OSQ_TYPE_LOST, sizeof(*lost), &slot);\n",
        new="	claim(ring, OSQ_TYPE_LOST, sizeof(*lost), &slot);\n"
        "	osq_os_free(osq_os_alloc(16));\n",
        said="_IOMalloc, which may sleep, in a spin lock",
    ),
    "missing-unlock": Planted(
        file="core/osq_ring.c",
        old="	advance(ring);\n	osq_os_unlock(&ring->lock, irq);\n}\n\n"
        "/*\n * osq_ring_discard",
        new="	advance(ring);\n	(void)irq;\n}\n\n/*\n * osq_ring_discard",
        said="returns with 1 locks held",
    ),
    "missing-unlock-of-mutex": Planted(
        file="os/macos/device.c",
        old="	lck_mtx_unlock(osq_device_mutex);\n	__atomic_sub_fetch",
        new="	__atomic_sub_fetch",
        said="returns with 1 locks held",
    ),
    "missing-wrap-check": Planted(
        file="core/osq_ring.c",
        old="ring->data + (slot->pos & (ring->size - 1))",
        new="ring->data + slot->pos",
        said="page fault",
    ),
    "leaked-node": Planted(
        file="os/macos/device.c",
        old="	devfs_remove(node);\n	cdevsw_remove(slot, &osq_cdevsw);\n	drain();",
        new="	cdevsw_remove(slot, &osq_cdevsw);\n	drain();",
        said="device node: osquery",
    ),
    "leaked-listener": Planted(
        file="os/macos/publish_exec.c",
        old="	kauth_unlisten_scope(listener);\n",
        new="",
        said="kauth listener: com.apple.kauth.fileop",
    ),
    "leaked-mapping": Planted(
        file="os/macos/device.c",
        old="	osq_memory_unmap(&own.memory);\n	osq_owner_deinit",
        new="	osq_owner_deinit",
        said="IOKit object: map",
    ),
    "leaked-task": Planted(
        file="os/macos/device.c",
        old="	osq_owner_deinit(&own.owner);\n}",
        new="}",
        said="task reference",
    ),
    "callback-after-stop": Planted(
        file="os/macos/gate.c",
        old="(!last_ns || osq_os_boot_ns() - last_ns >= GRACE_NS)",
        new="last_ns != 1",
        said="unloaded below callback",
    ),
    "callback-not-counted": Planted(
        file="os/macos/gate.c",
        old="	while (__atomic_load_n(&gate->inside, __ATOMIC_SEQ_CST))\n"
        "		IOSleep(POLL_MS);\n",
        new="",
        said="page fault",
    ),
    "gate-left-open": Planted(
        file="os/macos/gate.c",
        old="	__atomic_store_n(&gate->target, NULL, __ATOMIC_SEQ_CST);\n	while",
        new="	while",
        said="five_lives_on_one_image",
    ),
    "published-before-written": Planted(
        file="core/osq_ring.c",
        old="	osq_os_memcpy(slot.data, record, used);\n"
        "	osq_os_memset(slot.data + used, 0, rest);\n	osq_ring_commit(ring, &slot);\n",
        new="	osq_ring_commit(ring, &slot);\n	osq_os_memcpy(slot.data, record, used);\n"
        "	osq_os_memset(slot.data + used, 0, rest);\n",
        said="only_whole_records_are_shown",
    ),
    "negative-error": Planted(
        file="os/macos/device.c",
        old="	return -err;\n",
        new="	return err;\n",
        said="which is no error number",
    ),
    "stale-data-on-reload": Planted(
        file="os/macos/publish_exec.c",
        old="	memset(&gate, 0, sizeof(gate));\n",
        new="	static int lives;\n\n	if (lives++)\n		gate.inside = 1;\n",
        said="waits for ever",
    ),
    "lost-wakeup": Planted(
        file="os/macos/readers.c",
        old="	__atomic_add_fetch(&untimed, 1, __ATOMIC_SEQ_CST);\n"
        "	ready = osq_ring_ready(&session->ring, &wait_ns);\n",
        new="	ready = osq_ring_ready(&session->ring, &wait_ns);\n"
        "	__atomic_add_fetch(&untimed, 1, __ATOMIC_SEQ_CST);\n",
        said="deadlock",
    ),
    "writable-mapping": Planted(
        file="os/macos/memory.c",
        old="OSQ_IO_MAP_ANYWHERE | OSQ_IO_MAP_READ_ONLY",
        new="OSQ_IO_MAP_ANYWHERE",
        said="gets the ring to write to",
    ),
    "not-wired": Planted(
        file="os/macos/memory.c",
        old="twice && osq_io_prepare(twice, OSQ_IO_IN_OUT)",
        new="!twice",
        said="not wired",
    ),
    "decides-for-others": Planted(
        file="os/macos/publish_exec.c",
        old="	return KAUTH_RESULT_DEFER;\n",
        new="	return 1;\n",
        said="decides for others",
    ),
    "unlocked-open": Planted(
        file="os/macos/device.c",
        old="	else if (!kauth_getuid())\n		err = attach();\n",
        new="	else\n		err = attach();\n",
        said="it is not refused",
    ),
    "filter-leaked": Planted(
        file="os/macos/publish_socket.c",
        old="	remove_filters(FILTERS);\n	osq_gate_close",
        new="	remove_filters(FILTERS - 1);\n	osq_gate_close",
        said="caps_tell_what_works",
    ),
    "filter-not-waited-for": Planted(
        file="os/macos/publish_socket.c",
        old="	return osq_gate_may_unload(&gate) &&\n"
        "	       !__atomic_load_n(&registered, __ATOMIC_SEQ_CST);\n",
        new="	return osq_gate_may_unload(&gate);\n",
        said="socket filter",
    ),
    "prefix-without-components": Planted(
        file="core/osq_watch.c",
        old="	    (path->len > above->len && path->bytes[above->len] != '/'))\n",
        new="	    path->len > 1u << 20)\n",
        said="what_happens_to_watched_files_is_told",
    ),
    "watch-leaked": Planted(
        file="os/macos/publish_file.c",
        old="	osq_os_free(old);\n	osq_watched_destroy(without);\n",
        new="	osq_os_free(old);\n	(void)without;\n",
        said="allocation",
    ),
}
