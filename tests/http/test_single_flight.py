"""Readers who ask at the same time are answered by one question, and nobody from before he asked."""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from world import until

from api.single_flight import SingleFlight


class Slow:
    """Answers each question when it is told to: what is asked, and which question it was."""

    def __init__(self) -> None:
        self.asked: list[set[str]] = []
        self.may_answer = Event()

    def __call__(self, keys: Collection[str]) -> Mapping[str, tuple[str, int]]:
        self.asked.append(set(keys))
        number = len(self.asked)
        assert self.may_answer.wait(30)
        if "bad" in keys:
            raise ValueError(f"question {number}")
        return {key: (key, number) for key in keys if key != "nobody"}


@pytest.fixture
def slow() -> Slow:
    return Slow()


def test_who_is_alone_is_asked_for_at_once(slow: Slow) -> None:
    slow.may_answer.set()
    together = SingleFlight(slow)
    assert together("ada") == ("ada", 1)
    assert together("nobody") is None
    assert slow.asked == [{"ada"}, {"nobody"}]


def test_who_comes_while_a_question_is_under_way_is_asked_for_by_the_next(slow: Slow) -> None:
    together = SingleFlight(slow)
    with ThreadPoolExecutor(5) as threads:
        first = threads.submit(together, "ada")
        until(lambda: slow.asked == [{"ada"}])
        others = [threads.submit(together, key) for key in ("ada", "bob", "nobody")]
        until(lambda: together._next.keys == {"ada", "bob", "nobody"})
        slow.may_answer.set()
    assert first.result() == ("ada", 1)
    assert [each.result() for each in others] == [("ada", 2), ("bob", 2), None]
    assert slow.asked == [{"ada"}, {"ada", "bob", "nobody"}]


def test_what_a_question_ends_in_is_heard_by_all_who_asked_and_by_nobody_else(slow: Slow) -> None:
    together = SingleFlight(slow)
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(together, "ada")
        until(lambda: slow.asked == [{"ada"}])
        others = [threads.submit(together, key) for key in ("bad", "bob")]
        until(lambda: together._next.keys == {"bad", "bob"})
        slow.may_answer.set()
    for each in others:
        with pytest.raises(ValueError, match="question 2"):
            each.result()
    assert first.result() == ("ada", 1)
    assert together("bob") == ("bob", 3)
