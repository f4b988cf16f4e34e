"""Faults in what is sent and how it is found: intents, the API's writes, the budget, poll and sweep."""

from fault import Edit, Fault, real, simulated
from places import (
    BASE,
    BUDGET,
    CONTRACT,
    MARKS,
    MIRROR,
    PAGES,
    PLAN,
    POLL,
    QUERIES,
    RECONCILE,
    RULES,
    SCHEMA,
    SENDER,
    SPENDING,
    SWEEP,
    THROUGH,
    WEATHER,
    WINDOWS,
)

CALLS: tuple[Fault, ...] = (
    simulated(
        "an intent is closed when its answer is lost",
        "an intent goes when the answer is committed",
        Edit(
            SENDER,
            "Sender._commit",
            "        except OutcomeUnknown:\n            raise\n        except Transient:",
            "        except Transient:",
        ),
        tests=(BASE, THROUGH),
    ),
    simulated(
        "an intent is closed by half an answer",
        "what was not answered stays open",
        Edit(MIRROR, "Accepted.is_whole", "return set(self.write.values) <= set(self.pushed)", "return True"),
        tests=(f"{RULES}::test_a_stage_that_was_sent_before_a_crash_is_no_persons_choice",),
    ),
    simulated(
        "the send window is ignored: a PATCH goes out late",
        "before each send the lease outlasts the call's total deadline",
        Edit(SENDER, "Sender._commit", "answers = call(self._clock() + SEND_WINDOW)", 'answers = call(float("inf"))'),
        tests=(f"{RULES}::test_a_write_whose_time_is_over_is_not_sent",),
    ),
    simulated(
        "a create of a customer without an address is repeated",
        "never two contacts; an unknown outcome parks",
        Edit(PLAN, "_unlinked", 'if any(intent.values.get("email") is None for intent in creates):', "if False:"),
        tests=(MARKS,),
    ),
    simulated(
        "a second create without asking for the first",
        "an unknown outcome is settled by the open intent, never two contacts",
        Edit(PLAN, "_unlinked", "if any(not intent.is_overdue for intent in creates):", "if False:"),
        tests=(f"{RULES}::test_a_create_is_not_repeated_under_another_address_while_the_first_is_open",),
    ),
    simulated(
        "an API write creates beside a create that is under way",
        "an unknown outcome is settled by the open intent, never two contacts",
        Edit(
            "reconciler/sync/write_through.py",
            "WriteThrough._update",
            "{p.uuid: Creating() for p, _ in edited if _may_be_created_by_others(p)}",
            "{}",
        ),
        tests=(WINDOWS,),
    ),
    simulated(
        "attempts are spent on HubSpot's own failures",
        "causes that are not the record's own never spend its attempts",
        Edit(
            RECONCILE,
            "Reconciler.reconcile",
            "again=max(error.delay, e.again or 0),",
            "again=max(error.delay, e.again or 0), spend=True,",
        ),
        tests=(f"{WEATHER}::test_a_token_that_is_refused_spends_no_records_attempts",),
    ),
    simulated(
        "a 429 blocks nobody",
        "all calls of all processes share one budget",
        Edit(BUDGET, "SharedBudget.block", "self._slots.block(kind, delay=delay, window=WINDOWS[kind])", "return"),
        tests=(f"{RULES}::test_a_429_stops_every_process",),
    ),
    simulated(
        "a backlog takes a window's calls in its first second",
        "interactive work finds a call",
        Edit(BUDGET, "pace", "return None if lane is Lane.INTERACTIVE else ceil(calls / SPREAD)", "return None"),
        tests=(f"{SPENDING}::test_an_urgent_call_finds_one_free_beside_any_backlog",),
    ),
    simulated(
        "a limit that is less than ours is run into every second",
        "all calls of all processes share one budget",
        Edit(
            BUDGET, "SharedBudget.block", "if self._clock() - self._blocked[kind] < WINDOWS[kind] + delay:", "if False:"
        ),
        tests=(f"{SPENDING}::test_a_second_429_within_a_window_costs_the_whole_window",),
    ),
    simulated(
        "a slot that waited for others is spent outside its window",
        "never more calls in any window than the budget",
        Edit(BUDGET, "SharedBudget._wait_for", "if self._clock() - since > GIVE_BACK:", "if False:"),
        Edit(BUDGET, "SharedBudget._wait_for", "return slots, since", "return slots, self._clock()"),
        tests=(f"{SPENDING}::test_a_call_whose_slot_was_taken_long_before_the_rest_counts_from_when_it_is_made",),
    ),
    simulated(
        "calls are reserved and spent outside their window",
        "never more calls in any window than the budget",
        Edit(BUDGET, "SharedBudget.spend", "if slots and self._clock() - since > FRESH:", "if False:"),
        tests=(f"{RULES}::test_a_window_begins_with_the_call_and_not_with_its_reservation",),
    ),
)

FINDING: tuple[Fault, ...] = (
    simulated(
        "the cursor is saved before the marks",
        "a mark is never lost (a page's marks and its cursor are one transaction)",
        Edit(
            POLL,
            "Poll._walk",
            "marked += self._records.meet(page.contacts, lane=Lane.FRESH, cursor=name, value=state)",
            "self._records.save(name, state)\n"
            "            marked += self._records.meet(page.contacts, lane=Lane.FRESH, cursor=name, value=state)",
        ),
        tests=(f"{RULES}::test_what_a_page_could_not_mark_is_found_by_the_next_poll",),
    ),
    simulated(
        "the cursor goes on to now",
        "the cursor is in HubSpot's time only, never now()",
        Edit(
            POLL,
            "_advanced",
            'high = max(_time(state["high"]), began)',
            "high = datetime.now(UTC)",
        ),
        tests=(f"{RULES}::test_the_poll_goes_by_the_clock_of_hubspot",),
    ),
    simulated(
        "pages follow the time of the change",
        "ties on the timestamp; the window stays while its pages are walked",
        Edit(
            POLL,
            "Poll._walk",
            "            after = page.after\n",
            "            last = max((c.updated_at for c in page.contacts), default=since)\n"
            "            since = last + timedelta(milliseconds=1)\n"
            "            after = FIRST\n",
        ),
        tests=(f"{RULES}::test_every_page_of_a_window_is_walked_however_the_times_lie",),
    ),
    real(
        "a sweep believes its page whatever was told meanwhile",
        "a page counts only for what was not told of, and what no worker has had, since it was read",
        Edit(
            SCHEMA,
            "claim_page",
            "where not exists (select from sync.mark m where m.subject = sync.of_contact(contact))\n    );",
            ");",
        ),
        tests=(f"{CONTRACT}_records.py::test_what_was_told_of_is_not_the_pages",),
    ),
    real(
        "a sweep believes its page of what others have worked on meanwhile",
        "a page counts only for what was not told of, and what no worker has had, since it was read",
        Edit(SCHEMA, "claim_page", "and l.fence < read_at", ""),
        tests=(PAGES,),
    ),
    real(
        "the end of a claim leaves no trace",
        "a page counts only for what was not told of, and what no worker has had, since it was read",
        Edit(
            QUERIES,
            "end_claims",
            "set lease_until = null, fence = nextval('sync.number'), blocks = case when c.exhausted",
            "set lease_until = null, blocks = case when c.exhausted",
        ),
        tests=(PAGES,),
    ),
    simulated(
        "a sweep believes its page whatever was told meanwhile (memory)",
        "a page counts only for what was not told of, and what no worker has had, since it was read",
        Edit(
            "simulation/memory/marks.py",
            "MemoryMarks.claim_page",
            "untold = [contact for contact in news if Subject.contact(contact).key not in tables.marks]",
            "untold = news",
        ),
        tests=(f"{CONTRACT}_records.py::test_what_was_told_of_is_not_the_pages",),
    ),
    real(
        "a record that ends its worker ends every sweep",
        "a mark that cost a worker its life is claimed alone",
        Edit(SCHEMA, "claim_page", "and l.lease_until is null\n            and l.fence", "and l.fence"),
        tests=(f"{CONTRACT}_records.py::test_a_pair_over_which_a_pages_worker_died_is_marked",),
    ),
    real(
        "a walker's cursor says that the others' pages are done",
        "a cursor is saved with the marks of what it stands behind",
        Edit(
            SWEEP,
            "_Walk._page",
            "            unread = without(self._unread, part)\n",
            "            unread = self._unread = without(self._unread, part)\n",
        ),
        tests=("tests/sync/test_backfill.py::test_a_page_that_could_not_be_worked_off_is_read_by_the_next_walk",),
    ),
    simulated(
        "an empty listing is believed",
        "an empty read is an error until proven otherwise",
        Edit(SWEEP, "Sweep.read", "page.after is None and self._records.linked():", "page.after is None and False:"),
        tests=(WEATHER,),
    ),
    simulated(
        "events are told apart by eventId",
        "duplicates, disorder, delay and loss of events change nothing but latency",
        Edit(
            "webhook/events.py",
            "read",
            "    for event in events:\n",
            "    known = set()\n    for event in events:\n"
            '        if event.get("eventId") in known:\n            continue\n'
            '        known.add(event.get("eventId"))\n',
        ),
        tests=(f"{RULES}::test_two_events_with_one_id_are_two_events",),
    ),
    real(
        "an event of a contact is dropped once it is marked",
        "a mark made while its subject is worked on survives",
        Edit(
            QUERIES,
            "receive",
            "generation = nextval('sync.number'), due = least(sync.mark.due, now()), lane",
            "due = least(sync.mark.due, now()), lane",
        ),
        tests=("tests/http/test_webhook_deliveries.py",),
    ),
)
