# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What the kext must do in an emulated kernel: each a function that a fault in it makes fail.

They are run on the kext as it is (test_kext.py), and on kexts with one planted fault each
(test_planted.py), of which every one must fail here.
"""

from collections.abc import Callable

from tests.kext import scenarios_device as device
from tests.kext import scenarios_events as events
from tests.kext import scenarios_records as records
from tests.kext.steps import Boot

SCENARIOS: tuple[Callable[[Boot], None], ...] = (
    device.start_and_stop,
    device.five_lives_on_one_image,
    device.unloading_while_in_use_is_refused,
    device.one_owner,
    device.a_stranger_costs_the_queue,
    device.a_program_started_by_exec_is_a_stranger,
    device.a_dead_owners_device_is_free,
    device.each_misuse_has_its_own_error,
    device.caps_tell_what_works,
    records.an_exec_gives_one_record,
    records.other_file_operations_give_none,
    records.a_long_path_is_cut_at_kauths_most,
    records.every_attempt_is_accounted,
    records.too_many_at_once_are_counted,
    events.what_is_done_to_sockets_is_told,
    events.filters_that_are_still_on_sockets_keep_the_kext,
    events.only_the_chosen_actions_are_told,
    events.what_happens_to_watched_files_is_told,
    events.watches_are_held_to_their_rules,
    device.a_waiting_reader_is_woken,
    device.no_wakeup_is_lost,
    device.what_ends_a_wait,
    device.a_latency_is_kept,
    records.only_whole_records_are_shown,
    records.the_queue_may_go_at_any_moment,
    records.a_late_callback_is_harmless,
    records.a_callback_that_has_not_left_keeps_the_kext,
)
