"""What the gateway makes of answers that are none, on the real socket."""

from typing import Any

import pytest
from budgets import Unlimited

from reconciler.adapters.gateway.client import Gateway
from reconciler.core.contact import ContactId
from reconciler.core.errors import OutcomeUnknown, RateLimited, Transient, Unauthorised, Unavailable
from reconciler.core.ports import Written
from sandbox import Sandbox, start
from simulation.mapped import MAPPED


@pytest.fixture
def budget() -> Unlimited:
    return Unlimited()


@pytest.fixture
def live(sandbox: Sandbox, budget: Unlimited) -> Gateway:
    return Gateway(
        fields=MAPPED, base_url=sandbox.url, token=lambda: sandbox.token, budget=budget, sleep=lambda seconds: None
    )


BROKEN = ["html200", "truncate", "empty", "cut"]


@pytest.mark.parametrize("action", BROKEN)
def test_a_broken_answer_to_a_read_is_tried_again(sandbox: Sandbox, live: Gateway, action: str) -> None:
    contact = sandbox.portal.create({"email": "kai@example.com"})
    sandbox.portal.faults.add(action=action, times=1)
    assert live.read([ContactId(int(contact.id))])[ContactId(int(contact.id))].is_alive


@pytest.mark.parametrize("action", [*BROKEN, "redirect"])
def test_a_read_without_any_good_answer_is_transient(sandbox: Sandbox, live: Gateway, action: str) -> None:
    sandbox.portal.faults.add(action=action, times=None)
    with pytest.raises(Unavailable):
        live.read([ContactId(1)])


@pytest.mark.parametrize("action", BROKEN)
def test_a_write_whose_answer_is_broken_is_not_sent_again(sandbox: Sandbox, live: Gateway, action: str) -> None:
    sandbox.portal.faults.add(action=action, times=1, when="after")
    with pytest.raises(OutcomeUnknown):
        live.create([{"email": "kai@example.com"}])
    assert len(sandbox.portal.contacts) == 1
    assert sandbox.portal.calls.total == 1


def test_a_redirect_is_not_followed_and_carries_no_token_away(sandbox: Sandbox, live: Gateway) -> None:
    with start(rate_per_10s=0) as elsewhere:
        sandbox.portal.faults.add(action="redirect", times=None, location=elsewhere.url)
        with pytest.raises(Transient):
            live.account()
        assert elsewhere.portal.calls.total == 0


@pytest.mark.parametrize("status", [500, 502, 504, 524])
def test_a_server_error_leaves_a_write_unknown(sandbox: Sandbox, live: Gateway, status: int) -> None:
    sandbox.portal.faults.add(action="status", status=status, times=1, when="after")
    with pytest.raises(OutcomeUnknown):
        live.create([{"email": "kai@example.com"}])


@pytest.mark.parametrize("status", [423, 477, 503])
def test_a_lock_or_a_pause_is_waited_for(sandbox: Sandbox, live: Gateway, status: int) -> None:
    sandbox.portal.faults.add(action="status", status=status, times=1)
    (answer,) = live.create([{"email": "kai@example.com"}])
    assert isinstance(answer, Written)


def test_a_429_blocks_everybody_and_the_call_is_made_again(sandbox: Sandbox, live: Gateway, budget: Unlimited) -> None:
    sandbox.portal.faults.add(action="429", policy="TEN_SECONDLY_ROLLING", times=1)
    (answer,) = live.create([{"email": "kai@example.com"}])
    assert isinstance(answer, Written)
    assert budget.blocked == [1.0]


@pytest.mark.parametrize(
    ("retry_after", "delay"), [("0", 10.0), ("-1", 10.0), ("soon", 10.0), ("7", 7.0), ("1000000000", 600.0)]
)
def test_a_retry_after_is_taken_only_as_far_as_it_makes_sense(
    sandbox: Sandbox, live: Gateway, budget: Unlimited, retry_after: Any, delay: float
) -> None:
    sandbox.portal.faults.add(action="status", status=429, headers={"Retry-After": retry_after}, times=None)
    with pytest.raises(RateLimited):
        live.account()
    assert budget.blocked[0] == delay


def test_the_spent_day_is_not_tried_again(sandbox: Sandbox, live: Gateway) -> None:
    sandbox.portal.faults.add(action="429", policy="DAILY", times=None)
    with pytest.raises(RateLimited) as error:
        live.account()
    assert error.value.delay == 50.0
    assert sandbox.portal.calls.total == 1


def test_a_replaced_token_is_used_at_the_next_call(sandbox: Sandbox, budget: Unlimited) -> None:
    tokens = ["revoked", sandbox.token]
    live = Gateway(
        fields=MAPPED, base_url=sandbox.url, token=lambda: tokens[0], budget=budget, sleep=lambda seconds: None
    )
    with pytest.raises(Unauthorised):
        live.account()
    tokens.pop(0)
    assert live.account().portal > 0


def test_nobody_listening_is_transient(budget: Unlimited) -> None:
    live = Gateway(
        fields=MAPPED, base_url="http://127.0.0.1:9", token=lambda: "none", budget=budget, sleep=lambda seconds: None
    )
    with pytest.raises(Unavailable):
        live.create([{"email": "kai@example.com"}])


def test_an_answer_without_end_is_cut_off(sandbox: Sandbox, live: Gateway) -> None:
    sandbox.portal.faults.add(action="huge", megabytes=40, times=None)
    with pytest.raises(Unavailable):
        live.account()


def test_an_answer_that_drips_is_given_up_at_the_deadline(sandbox: Sandbox, budget: Unlimited) -> None:
    ticks = iter(range(0, 10_000, 5))
    live = Gateway(
        fields=MAPPED,
        base_url=sandbox.url,
        token=lambda: sandbox.token,
        budget=budget,
        sleep=lambda seconds: None,
        clock=lambda: float(next(ticks)),
    )
    sandbox.portal.faults.add(action="drip", ms=1, times=None)
    with pytest.raises(Unavailable):
        live.account()
