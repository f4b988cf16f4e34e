"""The parts below the portal: ordered numbers, times, settings, and the lock under many threads."""

import random
import threading

import pytest

from sandbox import HubSpotError, Sandbox
from sandbox.clock import iso, parse_ms
from sandbox.ordered import OrderedInts
from sandbox.settings import Settings, from_environment


def test_ordered_numbers_behave_like_a_sorted_set() -> None:
    lot = random.Random(1)
    numbers, model = OrderedInts(), set()
    for _ in range(30_000):
        number = lot.randrange(9_000)
        if lot.random() < 0.6:
            numbers.add(number)
            model.add(number)
        else:
            numbers.discard(number)
            model.discard(number)
    assert len(numbers) == len(model)
    for _ in range(50):
        low, high = lot.randrange(9_500), lot.randrange(9_500)
        expected = sorted(each for each in model if low <= each < high)
        assert list(numbers.walk(low, high)) == expected
        assert list(numbers.walk_back(low, high)) == expected[::-1]
        assert numbers.count(low, high) == len(expected)


def test_times_are_read_in_every_form_that_is_written() -> None:
    assert iso(1_645_125_909_000) == "2022-02-17T19:25:09Z"
    assert iso(1_645_125_909_007) == "2022-02-17T19:25:09.007Z"
    for text in ("1645125909007", "2022-02-17T19:25:09.007Z", "2022-02-17T20:25:09.007+01:00"):
        assert parse_ms(text) == 1_645_125_909_007
    assert parse_ms("soon") is None


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_WEBHOOK_URL", "http://127.0.0.1:8081/")
    monkeypatch.setenv("SANDBOX_STAGE_RULE", "any")
    assert from_environment() == Settings(webhook_url="http://127.0.0.1:8081/", stage_rule="any")


def test_many_threads_make_one_contact_of_an_address(sandbox: Sandbox) -> None:
    made, refused = [], []

    def work() -> None:
        for number in range(50):
            try:
                made.append(sandbox.portal.create({"email": f"u{number}@hubspot.com"}).id)
            except HubSpotError as error:
                refused.append(error.status)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == len(set(made)) == len(sandbox.portal.contacts) == 50
    assert refused == [409] * 350
