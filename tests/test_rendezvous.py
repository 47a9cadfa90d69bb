"""Tasks that wait for each other's questions."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from spinase.rendezvous import ask, run_together


class Item:
    """A number that is squared."""

    def __init__(self, value: int) -> None:
        self.value, self.found = value, 0


def test_questions_of_one_kind_are_answered_at_once() -> None:
    calls: list[tuple[str, list[int]]] = []

    def answer(kind: str, items: list[Item]) -> None:
        calls.append((kind, [item.value for item in items]))
        for item in items:
            item.found = item.value**2

    def work(k: int) -> None:
        for n in range(k + 1):  # task k asks k + 1 times, then all ask for something else
            item = Item(10 * k + n)
            ask("early", item, lambda items: answer("early", items))
            assert item.found == item.value**2
        ask("late", Item(k), lambda items: answer("late", items), order=1)

    before = threading.active_count()
    run_together([lambda k=k: work(k) for k in range(3)])  # type: ignore[misc]
    assert calls == [("early", [0, 10, 20]), ("early", [11, 21]), ("early", [22]), ("late", [0, 1, 2])]
    assert threading.active_count() == before


def test_alone_a_question_is_answered_at_once() -> None:
    item = Item(3)
    ask("any", item, lambda items: [setattr(one, "found", len(items)) for one in items])  # type: ignore[func-returns-value]
    assert item.found == 1
    run_together([])


@pytest.mark.parametrize("where", ["task", "answer"])
def test_what_fails_ends_all_and_undoes_what_they_do(where: str) -> None:
    undone: list[int] = []

    def answer(items: list[Any]) -> None:
        if where == "answer":
            raise ValueError("no answer")

    def work(k: int) -> None:
        try:
            if where == "task" and k == 1:
                raise ValueError("no task")
            ask("any", Item(k), answer)
        except BaseException as error:
            undone.append(k)
            if not isinstance(error, ValueError):
                ask("more", Item(k), answer)  # who is given up gets no more answers, and does not wait for them
            raise

    before = threading.active_count()
    with pytest.raises(ValueError, match=f"no {where}"):
        run_together([lambda k=k: work(k) for k in range(3)])  # type: ignore[misc]
    assert threading.active_count() == before
    assert undone == ([1, 0] if where == "task" else [0, 1, 2])
