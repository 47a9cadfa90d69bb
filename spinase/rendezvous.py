"""Tasks that ask together: each goes on in turn until it has a question, and the questions of all are answered at once.

Every task has a thread of its own, one of which works at a time, so tasks are written as if they were alone:
:func:`run_together` does them, and somewhere below them :func:`ask` waits for the others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class _Question:
    """What a task waits for: `answer` is called with the items of all questions of one kind."""

    kind: Hashable
    item: Any
    answer: Callable[[list[Any]], None]
    order: int


class _GivenUp(BaseException):
    """Ends a task whose question will not be answered: another one failed, or the user has interrupted."""


class _Task(threading.Thread):
    """A task that works only between :meth:`go_on` and its next question, or its end."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._work, self._given_up, self._working = work, False, False
        self._turn, self._paused = threading.Semaphore(0), threading.Semaphore(0)
        self.question: _Question | None = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Work, from its first turn on."""
        self._turn.acquire()
        try:
            if not self._given_up:
                self._work()
        except _GivenUp:
            pass
        except BaseException as error:  # go_on raises it where the tasks were started
            self.error = error
        finally:
            self._paused.release()

    def ask(self, question: _Question) -> None:
        """Let the others work until the question was answered."""
        if not self._given_up:
            self.question = question
            self._paused.release()
            self._turn.acquire()
            self.question = None
        if self._given_up:
            raise _GivenUp

    def go_on(self) -> None:
        """Let it work up to its next question, or its end."""
        self._working = True
        self._turn.release()
        self._wait()
        if self.error is not None:
            raise self.error

    def give_up(self) -> None:
        """End it by an exception where it waits, so that what it was doing is undone as for any other."""
        if self._working:  # this thread was interrupted while it waited
            self._wait()
        self._given_up = True
        self._turn.release()
        self.join()

    def _wait(self) -> None:
        self._paused.acquire()
        self._working = False


def ask(kind: Hashable, item: Item, answer: Callable[[list[Item]], None], order: int = 0) -> None:
    """Wait until `answer` was called with the items of every task that asks for this kind of thing.

    Outside :func:`run_together` nobody else asks, and `answer` is called with the one item.

    Parameters
    ----------
    kind : hashable
        Items of one kind go into one call, in the order of the tasks.
    item
        What is asked about; answers are left in it.
    answer : callable
        Takes a list of items.
    order : int
        This waits until no task asks for anything of a lower order: so tasks come together again that asked for other
        things in different numbers.
    """
    task = threading.current_thread()
    if isinstance(task, _Task):
        task.ask(_Question(kind, item, answer, order))
    else:
        answer([item])


def run_together(works: Sequence[Callable[[], object]]) -> None:
    """Do all tasks, to their ends.

    Parameters
    ----------
    works : sequence of callable
        Without arguments.

    Raises
    ------
    Exception
        Of a task (a note tells which), or of an answer.  The other tasks are given up where they wait.
    """
    tasks = [_Task(work) for work in works]
    try:
        _go_on(tasks, tasks)
        while any(task.question is not None for task in tasks):
            asked = [(task, task.question) for task in tasks if task.question is not None]
            first = min((question for _, question in asked), key=lambda question: question.order)
            served = [(task, question) for task, question in asked if question.kind == first.kind]
            first.answer([question.item for _, question in served])
            _go_on([task for task, _ in served], tasks)
    finally:
        for task in tasks:
            task.give_up()


def _go_on(chosen: Sequence[_Task], tasks: Sequence[_Task]) -> None:
    """Let the chosen ones of the tasks work, one after the other."""
    for task in chosen:
        try:
            task.go_on()
        except Exception as error:
            if error is task.error:
                error.add_note(f"in task {tasks.index(task)} of {len(tasks)} that run together, counted from 0")
            raise


__all__ = ["ask", "run_together"]
