# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Faults to plant in a copy of the kext's sources; the scenarios must find each of them."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A fault to plant: the source text to replace, and words of the failure it must cause."""

    file: str
    old: str
    new: str
    message: str


PLANTED: dict[str, Planted] = {
    "allocation-under-spin-lock": Planted(
        file="core/osq_ring.c",
        old="	claim(ring, OSQ_TYPE_LOST, sizeof(*lost), ts_boot_ns, &slot);\n",
        new="	claim(ring, OSQ_TYPE_LOST, sizeof(*lost), ts_boot_ns, &slot);\n"
        "	osq_os_free(osq_os_alloc(16));\n",
        message="_IOMalloc, which may sleep, in a spin lock",
    ),
    "missing-unlock": Planted(
        file="core/osq_ring.c",
        old="	show(ring, slot);\n	osq_os_unlock(&ring->lock, irq);\n}\n\n"
        "/*\n * osq_ring_discard",
        new="	show(ring, slot);\n	(void)irq;\n}\n\n/*\n * osq_ring_discard",
        message="returns with 1 locks held",
    ),
    "missing-unlock-of-mutex": Planted(
        file="os/macos/device.c",
        old="	lck_mtx_unlock(osq_device_mutex);\n	__atomic_sub_fetch",
        new="	__atomic_sub_fetch",
        message="returns with 1 locks held",
    ),
    "missing-wrap-check": Planted(
        file="core/osq_ring.c",
        old="ring->data + (slot->pos & (ring->size - 1))",
        new="ring->data + slot->pos",
        message="page fault",
    ),
    "leaked-node": Planted(
        file="os/macos/device.c",
        old="	devfs_remove(node);\n	cdevsw_remove(slot, &osq_cdevsw);\n	drain();",
        new="	cdevsw_remove(slot, &osq_cdevsw);\n	drain();",
        message="device node: osquery",
    ),
    "leaked-listener": Planted(
        file="os/macos/publish_exec.c",
        old="	kauth_unlisten_scope(listener);\n",
        new="",
        message="kauth listener: com.apple.kauth.fileop",
    ),
    "leaked-mapping": Planted(
        file="os/macos/device.c",
        old="	osq_memory_unmap(&own.memory);\n	osq_owner_deinit",
        new="	osq_owner_deinit",
        message="IOKit object: map",
    ),
    "leaked-task": Planted(
        file="os/macos/device.c",
        old="	osq_owner_deinit(&own.owner);\n}",
        new="}",
        message="task reference",
    ),
    "callback-after-stop": Planted(
        file="os/macos/gate.c",
        old="(!last_ns || osq_os_boot_ns() - last_ns >= GRACE_NS)",
        new="last_ns != 1",
        message="unloaded while still inside: callback",
    ),
    "callback-not-counted": Planted(
        file="os/macos/gate.c",
        old="	while (__atomic_load_n(&gate->inside, __ATOMIC_SEQ_CST))\n"
        "		IOSleep(POLL_MS);\n",
        new="",
        message="page fault",
    ),
    "gate-left-open": Planted(
        file="os/macos/gate.c",
        old="	__atomic_store_n(&gate->target, NULL, __ATOMIC_SEQ_CST);\n	while",
        new="	while",
        message="image_can_be_started_again",
    ),
    "published-before-written": Planted(
        file="core/osq_ring.c",
        old="	osq_os_memcpy(slot.data, record, used);\n"
        "	osq_os_memset(slot.data + used, 0, rest);\n	osq_ring_commit(ring, &slot);\n",
        new="	osq_ring_commit(ring, &slot);\n	osq_os_memcpy(slot.data, record, used);\n"
        "	osq_os_memset(slot.data + used, 0, rest);\n",
        message="reader_sees_only_complete_records",
    ),
    "negative-error": Planted(
        file="os/macos/device.c",
        old="	return -err;\n",
        new="	return err;\n",
        message="which is not an error number",
    ),
    "stale-data-on-reload": Planted(
        file="os/macos/publish_exec.c",
        old="	memset(&gate, 0, sizeof(gate));\n",
        new="	static int lives;\n\n	if (lives++)\n		gate.inside = 1;\n",
        message="waits forever",
    ),
    "lost-wakeup": Planted(
        file="os/macos/readers.c",
        old="	__atomic_add_fetch(&untimed, 1, __ATOMIC_SEQ_CST);\n"
        "	ready = osq_ring_ready(&session->ring, &wait_ns);\n",
        new="	ready = osq_ring_ready(&session->ring, &wait_ns);\n"
        "	__atomic_add_fetch(&untimed, 1, __ATOMIC_SEQ_CST);\n",
        message="deadlock",
    ),
    "writable-mapping": Planted(
        file="os/macos/memory.c",
        old="OSQ_IO_MAP_ANYWHERE | OSQ_IO_MAP_READ_ONLY",
        new="OSQ_IO_MAP_ANYWHERE",
        message="can write to the ring",
    ),
    "not-wired": Planted(
        file="os/macos/memory.c",
        old="twice && osq_io_prepare(twice, OSQ_IO_IN_OUT)",
        new="!twice",
        message="not wired",
    ),
    "decides-for-others": Planted(
        file="os/macos/publish_exec.c",
        old="	return KAUTH_RESULT_DEFER;\n",
        new="	return 1;\n",
        message="decides for others",
    ),
    "unlocked-open": Planted(
        file="os/macos/device.c",
        old="	else if (!kauth_getuid())\n		err = attach();\n",
        new="	else\n		err = attach();\n",
        message="the call was not refused",
    ),
    "filter-leaked": Planted(
        file="os/macos/publish_socket.c",
        old="	remove_filters(FILTERS);\n	osq_gate_close",
        new="	remove_filters(FILTERS - 1);\n	osq_gate_close",
        message="caps_name_the_types_that_can_be_subscribed_to",
    ),
    "filter-not-waited-for": Planted(
        file="os/macos/publish_socket.c",
        old="	return osq_gate_may_unload(&gate) &&\n"
        "	       !__atomic_load_n(&registered, __ATOMIC_SEQ_CST);\n",
        new="	return osq_gate_may_unload(&gate);\n",
        message="socket filter",
    ),
    "socket-locked-in-detach": Planted(
        file="os/macos/publish_socket.c",
        old="	filter.sf_notify = on_notify;\n",
        new="	filter.sf_notify = on_notify;\n	filter.sf_detach = on_closing;\n",
        message="is locked without a PCB, which would panic",
    ),
    "prefix-without-components": Planted(
        file="core/osq_watch.c",
        old="	    (path->len > above->len && path->bytes[above->len] != '/'))\n",
        new="	    path->len > 1u << 20)\n",
        message="watched_files_give_records",
    ),
    "watch-leaked": Planted(
        file="os/macos/publish_file.c",
        old="	osq_os_free(old);\n	osq_watched_destroy(without);\n",
        new="	osq_os_free(old);\n	(void)without;\n",
        message="allocation",
    ),
}

# One fault for each body that all systems share (tests/shared/bodies.py), by the body's name.
SHARED: dict[str, Planted] = {
    "a_second_process_is_refused": Planted(
        file="os/macos/device.c",
        old="	if (device.session)\n		return -EBUSY;\n",
        new="	if (device.session)\n		return -EPERM;\n",
        message="'EPERM' == 'EBUSY'",
    ),
    "a_killed_owner_leaves_nothing": Planted(
        file="core/osq_open.c",
        old="	osq_os_memset(ring, 0, sizeof(*ring));\n",
        new="	if (!ring->count.attempts)\n		osq_os_memset(ring, 0, sizeof(*ring));\n",
        message="reset=1",
    ),
    "an_ioctl_of_a_child_invalidates_the_queue": Planted(
        file="os/macos/device.c",
        old="	if (err == -EPERM && osq_device_invalidate(&own.session)) {\n",
        new="	if (err == 1 && osq_device_invalidate(&own.session)) {\n",
        message="'' == 'ESTALE'",
    ),
    "a_program_after_exec_is_refused": Planted(
        file="os/macos/owner.c",
        old="	(void)owner;\n	return current_task();\n",
        new="	return owner->pid == proc_selfpid() ? owner->task : current_task();\n",
        message="'' == 'EPERM'",
    ),
    "each_misuse_has_its_own_error": Planted(
        file="core/osq_device.c",
        old="	return session->queue == OSQ_QUEUE_VALID ? -EEXIST : 0;\n",
        new="	return session->queue == OSQ_QUEUE_VALID ? -EINVAL : 0;\n",
        message="'EINVAL' == 'EEXIST'",
    ),
    "caps_lists_the_types_that_work": Planted(
        file="core/osq_device.c",
        old="			caps->types |= bit;\n",
        new="			caps->types |= bit << 2;\n",
        message="'' != ''",
    ),
    "an_exec_gives_one_record": Planted(
        file="core/osq_ring.c",
        old="	record->seq = slot.seq;\n",
        new="	record->seq = slot.seq + 1;\n",
        message="[2, 3, 4] == [1, 2, 3]",
    ),
    "execs_are_recorded_only_while_subscribed": Planted(
        file="core/osq_device.c",
        old="	} else if (session->subscribed & bit) {\n		stop_one",
        new="	} else if (session->subscribed & bit & 1) {\n		stop_one",
        message="2 == 1",
    ),
    "records_that_do_not_fit_are_counted": Planted(
        file="core/osq_ring.c",
        old="	lost->last_seq = total->attempts;\n",
        new="	lost->last_seq = total->attempts - 1;\n",
        message="(20, 37) == (20, 38)",
    ),
    "a_ring_that_is_read_in_time_loses_nothing": PLANTED["missing-wrap-check"],
    "a_waiting_reader_is_woken": Planted(
        file="os/macos/task.c",
        old="OSQ_RANK_ANY);\n	osq_readers_after_commit(ring);\n",
        new="OSQ_RANK_ANY);\n",
        message="deadlock",
    ),
    "a_nonblocking_reader_gets_eagain": Planted(
        file="os/macos/device.c",
        old="	if (flags & FNONBLOCK)\n",
        new="	if (flags & FNONBLOCK & 1)\n",
        message="deadlock",
    ),
}
