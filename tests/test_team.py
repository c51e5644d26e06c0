"""Teams of threads: woken again for the next run, whole when something goes wrong."""

import os
import threading
import time
import warnings

import pytest

from graphnn.backends.cpu import team


def nothing():
    pass


def run(work, size, watch=None, stop=nothing):
    team.run(work, size, watch, stop)


def test_each_thread_works_once():
    seen = []
    run(lambda number, size: seen.append((number, size)), 3)
    assert sorted(seen) == [(0, 3), (1, 3), (2, 3)]


def test_the_next_run_wakes_the_same_threads():
    runs = []
    for _ in range(5):
        idents = {}
        run(lambda number, _, idents=idents: idents.update({number: threading.get_ident()}), 2)
        runs.append(idents)
    assert all(one == runs[0] for one in runs)
    assert threading.get_ident() not in runs[0].values()


@pytest.mark.parametrize("guilty", [0, 1, 2])
def test_an_error_of_any_thread_is_raised_once_all_are_done(guilty):
    done = []

    def work(number, _size):
        if number == guilty:
            raise ValueError(f"thread {number}")
        time.sleep(0.02)
        done.append(number)

    with pytest.raises(ValueError, match=f"thread {guilty}"):
        run(work, 3)
    assert sorted(done) == sorted({0, 1, 2} - {guilty})
    done.clear()
    run(lambda number, _: done.append(number), 3)
    assert sorted(done) == [0, 1, 2]


def test_none_works_if_one_cannot_be_started(monkeypatch):
    def refuse(*_args):
        raise RuntimeError("can't start new thread")

    worked = []
    size = 61  # of a team that nobody has made yet
    monkeypatch.setattr(team, "_Follower", refuse)
    with pytest.raises(RuntimeError, match="can't start"):
        run(lambda number, _: worked.append(number), size)
    assert worked == []
    monkeypatch.undo()
    run(lambda number, _: worked.append(number), size)
    assert sorted(worked) == list(range(size))


def test_an_error_while_watching_stops_the_work():
    stopped = threading.Event()
    returned = []

    def work(number, _size):
        assert stopped.wait(10)
        returned.append(number)

    def watch():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(work, 2, watch, stopped.set)
    assert sorted(returned) == [0, 1]


def test_runs_of_several_threads_at_once_have_teams_of_their_own():
    meeting = threading.Barrier(8, timeout=10)  # passes only if all eight run at the same time
    callers = [threading.Thread(target=run, args=(lambda *_: meeting.wait(), 2)) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not meeting.broken


def test_a_team_that_nobody_wants_goes_home(monkeypatch):
    monkeypatch.setattr(team, "IDLE_SECONDS", 0.02)
    idents = {}
    size = 7
    run(lambda number, _: idents.update({number: threading.get_ident()}), size)
    end = time.monotonic() + 10
    while set(idents.values()) & {thread.ident for thread in threading.enumerate()}:
        assert time.monotonic() < end
        time.sleep(0.01)
    worked = []
    run(lambda number, _: worked.append(number), size)
    assert sorted(worked) == list(range(size))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_starts_threads_of_its_own():
    run(lambda *_: None, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks in general
        child = os.fork()
    if child == 0:
        worked = []
        run(lambda number, _: worked.append(number), 2)
        os._exit(0 if sorted(worked) == [0, 1] else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
