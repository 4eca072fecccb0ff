//! The list of all cases.

use std::pin::Pin;

use super::fixture::Fixture;

/// Makes a test of every case; `$open` is an async function without arguments that gives a [`Fixture`](super::Fixture)
/// around an empty store. With `$open, $run`, each case is handed to `$run`, a function like [`run_case`](super::run_case).
#[macro_export]
macro_rules! conformance_suite {
    ($open:path) => {
        $crate::conformance_suite! { $open, $crate::conformance::run_case }
    };
    ($open:path, $run:path) => {
        $crate::conformance_suite! { $open, $run =>
            census {
                an_empty_store_has_nothing_but_its_size,
                what_there_is_is_counted,
                what_is_overdue_says_since_when,
                no_more_is_counted_than_was_asked_for,
                an_attempt_that_ends_is_counted_with_how_long_it_took,
            }
            channels {
                a_session_in_a_channel_reads_back_as_it_was_registered,
                a_channel_is_there_while_somebody_is_live_in_it,
                the_younger_session_of_a_domain_takes_over_in_its_channel_only,
                there_are_only_so_many_channels_at_once,
                versions_of_channels_are_in_no_catalogue,
                old_versions_of_channels_are_forgotten_unless_somebody_serves_them,
                tasks_of_its_versions_go_to_the_channel_and_all_others_to_the_deployed,
                nobody_makes_what_belongs_to_a_channel_in_which_nobody_is_left,
                what_nobody_makes_in_a_channel_is_unserved_after_the_grace,
                checks_and_undos_go_to_the_deployed_when_nobody_is_left_in_the_channel,
                checks_and_undos_planned_when_nobody_is_left_go_to_the_deployed,
                a_version_that_stands_in_for_none_waits_for_its_channel,
                a_channel_that_is_back_takes_back_what_waits,
                a_channel_that_is_back_with_a_breaking_change_takes_back_undos_only,
                what_waits_goes_to_the_first_deployed_version_that_fits,
                a_claim_returned_by_a_channel_that_has_ended_waits_where_it_can_be_done,
                versions_of_channels_are_counted_for_themselves,
            }
            claims {
                a_claim_says_what_is_to_be_done,
                what_has_a_claimant_is_claimed_with_the_write_or_ready_behind_it,
                a_task_is_handed_out_once,
                many_claimers_at_once_never_share_an_attempt,
                no_more_than_the_maximum_are_handed_out,
                the_oldest_task_goes_first,
                the_most_urgent_task_goes_first_whatever_its_capability,
                a_busy_capability_does_not_starve_the_others,
                a_delayed_task_is_handed_out_when_it_is_ready_and_not_before,
                a_new_task_is_found_after_an_empty_look,
                a_session_gets_only_what_it_performs,
                a_session_gets_only_the_versions_it_can_perform,
                a_session_that_is_not_live_gets_nothing,
                a_returned_claim_is_ready_again_as_if_it_had_never_been_made,
                what_is_given_back_comes_first_however_many_were_handed_out_since,
                a_returned_task_can_still_be_withdrawn,
                a_withdrawn_task_that_is_claimed_is_cancelled,
                a_cancelled_claim_that_is_returned_is_withdrawn,
                the_next_task_of_a_part_keeps_its_own_count,
                lost_claims_are_the_old_ones_that_are_not_running,
                a_claim_queued_behind_a_write_finds_what_it_wrote,
                a_deadline_is_counted_from_the_claim,
            }
            contracts {
                an_environment_comes_with_its_first_publication,
                every_version_of_a_contract_is_kept,
                a_publication_upon_an_old_catalogue_is_stale,
                a_stale_publication_makes_no_environment,
                a_version_changed_in_place_keeps_its_time,
                a_withdrawn_contract_keeps_its_versions_and_can_come_back,
                an_empty_publication_leaves_the_revision,
                a_contract_that_only_datasets_name_is_not_in_the_catalogue,
                what_is_not_over_of_a_contract_is_counted,
                what_somebody_performs_is_not_withdrawn,
            }
            crowds {
                each_of_many_who_wish_the_same_gets_one_or_nothing,
                of_many_at_one_time_no_more_are_served_than_the_quota_allows,
                many_new_requests_are_each_accepted_under_their_own_key,
                of_many_results_each_means_what_it_means_by_itself,
                of_many_that_are_ready_for_stock_each_comes_there_once,
            }
            datasets {
                roots_are_listed_newest_first,
                a_long_list_is_read_once_while_rows_come_in,
                a_contract_finds_parts_as_well,
                a_page_looks_at_so_many_rows_and_says_where_it_goes_on,
                environment_and_status_narrow_a_list,
                a_root_is_found_by_what_it_has_become_also_by_its_contract,
                debts_are_listed_oldest_first,
                a_debt_that_is_resolved_is_listed_no_more_and_its_tree_goes_in_its_time,
                undos_that_nobody_performs_are_listed_and_counted_after_the_grace,
                trees_are_counted_by_the_status_of_their_root,
            }
            doubts {
                a_capability_is_doubted_when_half_of_the_last_ten_are_invalid,
                a_few_that_are_invalid_among_many_that_hold_are_set_aside,
                asking_about_one_dataset_again_and_again_is_no_reason_to_doubt,
                nothing_of_what_is_doubted_is_taken_from_stock,
                only_probes_in_a_row_end_a_doubt,
                a_probe_begins_once_in_its_pause_however_many_begin_it,
                a_doubt_about_what_is_gone_ends_and_is_told_once,
                what_a_request_was_given_and_is_held_back_goes_into_stock_again,
            }
            entities {
                two_live_leases_never_own_the_same_entity,
                many_trees_that_are_ready_at_once_get_one_lease_on_an_entity,
                an_entity_is_free_with_every_end_of_its_lease,
                entities_of_other_environments_kinds_and_keys_are_others,
                a_clash_leaves_its_claim_and_everything_else_alone,
                a_tree_that_waits_is_looked_at_again_when_its_request_is_complete,
                two_datasets_of_one_request_never_own_the_same_entity,
                a_lease_owns_what_its_dataset_was_extended_by_and_nothing_of_others,
                a_dataset_is_extended_only_under_its_lease_and_fence,
                a_tree_of_an_ended_request_clashes_with_nobody,
            }
            events {
                an_event_reads_back_as_it_was_told,
                an_event_about_an_attempt_says_how_long_it_was_claimed,
                events_are_read_in_order_and_behind_a_place,
                a_lease_is_told_before_the_request_is_fulfilled,
                filters_leave_out_what_belongs_elsewhere,
            }
            found {
                of_many_finds_at_once_one_takes_an_entity,
                what_was_found_is_owned_until_its_tree_is_over,
                what_was_found_and_left_is_free,
                what_a_tree_names_is_not_found_before_the_tree_is_over,
                what_is_in_use_is_listed_with_the_newest_first,
            }
            imports {
                what_somebody_has_already_is_told_before_it_is_imported,
                what_is_imported_comes_into_stock_and_can_be_taken,
                an_import_that_owns_what_anybody_has_leaves_nothing,
                of_many_imports_of_the_same_at_once_one_is_taken,
                what_was_imported_stays_however_little_a_line_keeps,
                an_import_that_is_too_old_for_its_line_is_taken_all_the_same,
                an_import_that_is_not_ready_is_taken_over_by_nobody_and_no_refill,
                an_import_that_fails_leaves_its_line_alone,
                what_was_imported_counts_as_that_also_when_it_was_suspected_and_came_back,
            }
            joins {
                a_dataset_in_stock_joins_one_of_many,
                what_was_taken_meanwhile_joins_nothing,
                what_has_changed_in_stock_meanwhile_joins_nothing,
                a_tree_that_has_changed_meanwhile_is_joined_by_nothing,
                a_look_in_stock_takes_nothing,
                what_is_looked_for_in_stock_has_its_tree_due,
                what_was_there_before_is_owned_by_the_tree_that_it_joins,
                what_joins_is_no_clash_when_it_is_handed_out_with_the_same_write,
            }
            leases {
                a_fence_carries_the_epoch_of_the_store,
                a_renewal_moves_the_deadline,
                a_renewal_never_shortens_a_lease,
                a_renewal_with_another_fence_is_refused,
                a_lease_ends_at_its_deadline_and_not_before,
                an_overdue_lease_expires_with_its_tree,
                a_release_ends_the_lease_with_what_the_holder_says,
                a_release_with_another_fence_is_refused,
                a_lease_whose_time_is_over_is_ended_by_nobody,
                a_lease_of_another_tree_is_no_guard,
                an_administrator_needs_no_fence,
                a_revocation_needs_no_fence_and_says_by_whom_and_why,
                every_end_of_a_lease_is_told_once,
                overdue_leases_are_paged_past_those_that_stay,
                leases_are_listed_newest_first_and_filtered,
                held_leases_are_counted_by_environment,
            }
            limits {
                concurrency_is_held_over_all_sessions,
                concurrency_of_one_capability_leaves_the_others_alone,
                a_limit_is_that_of_the_latest_registration,
                a_low_rate_is_spaced_evenly_over_all_sessions,
                a_rate_is_never_exceeded_in_the_long_run,
                a_rate_holds_nothing_back_when_nothing_is_there,
            }
            quotas {
                a_request_beyond_the_quota_is_refused_and_leaves_nothing,
                what_is_under_way_and_what_is_held_count_alike,
                a_request_that_ends_without_leases_gives_its_places_back,
                every_end_of_a_lease_gives_one_place_back,
                the_quota_of_an_environment_counts_all_its_tokens,
                many_requests_at_once_never_exceed_a_quota,
                how_much_of_a_quota_is_taken_can_be_read,
            }
            requests {
                a_request_reads_back_as_it_was_accepted,
                a_request_keeps_which_dataset_it_asks_for_again,
                the_same_key_and_body_answer_the_first_request,
                the_same_key_with_another_body_is_refused,
                keys_of_another_token_are_independent,
                a_key_sent_many_times_at_once_makes_one_request,
                a_key_stands_for_its_request_for_a_day_and_not_longer,
                a_key_whose_day_is_over_makes_one_request_however_often_it_comes,
                a_key_that_ran_anew_is_forgotten_in_its_own_time,
                keys_are_forgotten_after_a_day_and_not_before,
                an_ended_request_keeps_its_end,
                a_failure_reads_back_as_it_was_given,
                requests_are_listed_newest_first_and_by_page,
                a_filter_leaves_only_what_fits,
                overdue_requests_are_the_open_ones_behind_their_deadline,
                a_replayed_request_leaves_no_second_task,
            }
            restores {
                leases_of_before_are_over_and_fences_are_above_all_of_theirs,
                every_restore_raises_the_fences,
                sessions_of_before_are_dead_and_their_tasks_come_back,
                keys_of_before_stand_for_what_they_stood_for,
                a_reader_of_before_has_missed_events_and_reads_of_the_restore_first,
            }
            retention {
                what_is_over_goes_when_its_time_is_and_not_before,
                what_is_in_use_or_under_way_stays_however_old,
                a_dataset_stays_while_a_part_of_it_is_owed,
                a_failed_dataset_stays_with_its_request,
                a_dataset_stays_while_an_open_request_asks_for_it_again,
                a_request_stays_as_long_as_its_key,
                entities_go_with_their_dataset,
                a_session_goes_when_it_has_ended_long_ago,
                old_events_go_and_numbers_are_never_given_out_again,
                room_for_events_is_made_in_time_and_used,
            }
            sessions {
                a_session_reads_back_as_it_was_registered,
                a_registration_publishes_its_contracts,
                a_registration_decided_upon_an_old_catalogue_is_stale,
                the_live_session_in_a_place_is_found,
                a_newer_session_of_an_instance_supersedes_the_older,
                a_sign_of_life_keeps_a_session_alive,
                a_silent_session_is_dead_and_stays_dead,
                silent_sessions_are_ended_a_limited_number_at_a_time,
                a_draining_session_ends_with_its_last_claim,
                draining_twice_changes_nothing_more,
                a_draining_session_that_falls_silent_with_a_claim_is_dead,
                sessions_are_listed_newest_first,
                live_sessions_are_counted_by_environment,
                what_is_served_is_known_by_capability_and_by_session,
                what_is_served_is_counted_by_version,
                what_is_served_in_another_version_than_the_one_on_offer_is_found,
                a_version_is_not_put_on_offer_while_somebody_performs_a_newer_one,
            }
            statistics {
                samples_say_how_long_requests_waited_and_datasets_took,
                samples_say_what_was_there_before_it_was_asked_for,
                samples_say_why_something_failed,
                samples_are_the_newest_of_each_contract_in_the_order_of_the_contracts,
                samples_leave_out_what_belongs_to_channels_and_requests_for_several_contracts,
            }
            stock {
                a_line_has_one_number_however_its_input_is_written,
                a_line_is_filled_up_to_its_target_and_no_further,
                only_so_many_are_made_for_a_line_at_once,
                what_a_refill_makes_is_in_stock_and_in_nobodys_hands,
                the_oldest_in_stock_is_leased_at_once,
                no_dataset_is_taken_twice,
                what_is_short_leaves_everything_as_it_was,
                a_dataset_of_another_version_or_too_old_or_not_fresh_is_left,
                criteria_choose_among_what_is_there,
                a_repeated_key_takes_nothing_more,
                what_is_coming_is_taken_over_and_made_at_the_priority_of_who_waits,
                what_comes_into_stock_goes_to_whoever_waits_longest,
                a_request_for_several_is_leased_when_the_last_is_there,
                what_was_taken_and_not_leased_can_go_back,
                what_is_too_much_or_too_old_is_nobodys_any_more,
                a_line_that_cannot_be_filled_is_left_alone_longer_each_time,
                the_timeline_of_a_tree_goes_with_it_from_request_to_request,
                a_refill_that_is_given_up_leaves_its_line,
                how_quickly_a_line_is_filled_is_known_from_what_was_made_for_it,
            }
            stock_history {
                what_lines_come_to_is_counted,
                what_a_line_has_is_noted_once_in_a_span,
                of_many_that_note_a_line_at_once_one_does,
                a_line_that_is_not_there_is_not_noted,
                what_was_noted_is_kept_for_a_day,
                a_history_is_told_by_spans_of_any_length_and_from_a_time_on,
            }
            stock_rechecks {
                what_is_not_fresh_is_taken_to_be_asked_about,
                a_unit_whose_dataset_does_not_hold_is_given_another_one_once,
                what_could_not_be_handed_over_is_not_taken_once_more,
                a_unit_of_a_request_that_has_ended_needs_no_dataset,
                what_other_versions_have_made_is_taken_out_of_stock_and_counts_as_coming,
                what_is_found_to_hold_is_fresh_again,
                what_is_found_not_to_hold_leaves_stock,
                what_is_given_back_comes_into_stock_when_it_holds,
                what_comes_back_is_the_oldest_however_many_were_taken_since,
                what_came_back_is_counted_and_stays_beyond_what_is_kept,
                what_came_back_and_is_asked_about_anew_has_come_back_all_the_same,
                what_owns_something_of_somebody_else_is_left_in_stock,
                what_drifted_is_set_aside_and_counted_with_its_contract,
            }
            stock_rules {
                every_field_of_a_rule_reads_back_as_it_was_put,
                a_rule_that_is_put_again_is_the_same_or_changed,
                only_what_changes_is_told,
                rules_are_put_with_their_contracts_or_not_at_all,
                a_rule_is_replaced_only_over_the_revision_that_was_seen,
                a_change_of_a_rule_makes_what_was_decided_upon_the_catalogue_stale,
                rules_are_paged_by_name_and_kept_apart_by_environment,
                an_environment_has_so_many_rules_and_no_more,
                an_edit_changes_target_and_state_of_the_revision_that_was_seen,
                a_deleted_rule_is_gone_and_comes_back_with_a_higher_revision,
                a_window_that_is_not_understood_any_more_reads_back_as_it_was_put,
            }
            sweeps {
                claims_of_a_dead_session_are_abandoned,
                a_claim_behind_its_deadline_is_abandoned_although_its_session_lives,
                abandoned_claims_are_paged_past_those_that_stay,
                a_tree_is_due_when_a_moment_of_one_of_its_parts_comes,
                a_tree_can_be_due_with_its_first_decision,
                due_trees_are_paged_past_those_that_stay,
                open_tasks_tell_who_has_them,
                a_supplier_of_a_channel_serves_only_the_trees_that_name_it,
                withdrawn_tasks_come_a_limited_number_at_a_time,
                a_task_that_nobody_serves_is_unserved_after_the_grace,
                a_task_that_somebody_serves_is_not_unserved,
                a_task_that_begins_once_its_supplier_has_left_is_unserved_since_it_left,
                a_task_of_a_version_that_nobody_performs_is_unserved,
                a_task_of_a_version_between_those_that_are_performed_is_unserved,
                a_delayed_task_is_unserved_from_its_own_time_on,
                unserved_tasks_are_paged_past_those_that_stay,
                parts_that_wait_for_a_supplier_say_when_it_was_there_last,
            }
            tokens {
                a_token_is_found_by_its_hash_only,
                a_token_is_taken_back_once,
                the_last_use_of_a_token_is_kept_to_the_minute,
                the_time_is_that_of_the_clock,
                a_write_that_fails_leaves_the_others_that_wait_with_it,
            }
            trees {
                a_tree_reads_back_as_it_was_planned,
                every_field_of_a_part_reads_back_as_it_was_written,
                parts_and_pins_that_come_later_are_kept,
                a_decision_about_an_older_version_is_stale,
                a_stale_decision_leaves_its_claim_alone,
                an_answer_is_recorded_once,
                an_answer_of_another_session_or_attempt_is_refused,
                a_refused_write_changes_nothing,
                an_abandoned_claim_is_given_up_only_when_it_is_abandoned,
                a_withdrawn_task_is_finished_once,
                an_unclaimed_task_goes_with_its_guard,
                a_claimed_task_is_not_unclaimed,
                datasets_are_found_by_the_entities_they_hold,
                datasets_are_found_by_the_entities_they_use,
                lately_counts_the_last_hour_of_one_contract,
            }
            troubles {
                what_a_second_line_fails_for_is_shared,
                lines_that_share_a_trouble_are_tried_one_at_a_time_and_later_each_time,
                a_line_that_has_not_failed_itself_may_show_at_once_that_it_works,
                a_refill_that_is_given_up_leaves_its_turn_to_others,
                lines_that_need_something_else_are_not_kept_back,
            }
            units {
                a_request_is_fulfilled_with_its_last_tree,
                the_count_of_ready_trees_grows_one_by_one,
                one_failing_tree_fails_the_request_and_leaves_its_siblings_unwanted,
                a_tree_that_is_taken_down_is_no_longer_unwanted,
                a_second_failing_tree_does_not_end_the_request_again,
                a_tree_of_an_ended_request_is_never_leased,
                a_request_that_is_ready_with_its_first_decision_is_fulfilled_at_once,
                a_request_that_fails_with_its_first_decision_is_failed_at_once,
                granted_leases_have_the_ids_that_came_with_the_write,
                a_request_that_got_more_trees_than_its_writer_knew_of_is_fulfilled,
            }
        }
    };
    ($open:path, $run:path => $($noun:ident { $($case:ident),+ $(,)? })+) => {
        $(
            mod $noun {
                $(
                    #[tokio::test]
                    async fn $case() {
                        let name = concat!(stringify!($noun), "::", stringify!($case));
                        $run(name, $open().await, |f| Box::pin($crate::conformance::$noun::$case(f))).await;
                    }
                )+
            }
        )+
    };
}

/// Runs a case, whatever its name.
pub async fn run_case(
    _: &str,
    fixture: Fixture,
    case: impl for<'a> FnOnce(&'a Fixture) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
) {
    case(&fixture).await;
}
