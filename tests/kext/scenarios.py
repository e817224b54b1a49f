# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The list of scenarios, each of which checks one behaviour of the kext in an emulated kernel.

test_kext.py runs them on the kext itself, where all must pass. test_planted.py runs them on kexts
with one planted fault each, where one must fail.
"""

from collections.abc import Callable

from tests.kext import scenarios_device as device
from tests.kext import scenarios_events as events
from tests.kext import scenarios_records as records
from tests.kext.steps import Boot

SCENARIOS: tuple[Callable[[Boot], None], ...] = (
    device.start_and_stop,
    device.image_can_be_started_again,
    device.unloading_while_in_use_is_refused,
    device.device_has_one_root_owner_at_a_time,
    device.call_of_a_child_invalidates_the_queue,
    device.program_after_exec_is_not_the_owner,
    device.device_of_a_dead_owner_is_free,
    device.each_misuse_has_its_own_error,
    device.caps_name_the_types_that_can_be_subscribed_to,
    records.an_exec_gives_one_record,
    records.other_file_operations_give_no_exec_record,
    records.long_path_is_cut_at_1024_bytes,
    records.every_attempt_is_accounted_for,
    records.exec_without_a_free_buffer_is_counted_as_nested,
    events.socket_calls_give_records,
    events.attached_filters_prevent_unloading,
    events.subscription_options_select_actions,
    events.watched_files_give_records,
    events.invalid_watches_are_refused,
    device.a_waiting_reader_is_woken,
    device.no_wakeup_is_lost,
    device.wait_ends_early_with_its_own_error,
    device.a_signal_comes_before_a_wakeup,
    device.reader_sleeps_for_its_latency,
    records.reader_sees_only_complete_records,
    records.queue_may_close_at_any_instruction,
    records.late_callback_delays_unloading,
    records.callback_inside_the_gate_prevents_unloading,
)
