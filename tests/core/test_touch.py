import asyncio
import contextvars
import threading

import pytest
import torch

from thresher.core import listen
from thresher.core.touch import report_touch


def test_nobody_listening_is_no_error():
    report_touch("digits", "snip", 3)


def test_a_touch_says_what_was_read():
    indices = torch.tensor([4, 2])
    with listen() as touches:
        report_touch("digits", "snip", 2, indices)
        report_touch("?", "grasp", 5)
    assert [(t.dataset, t.purpose, t.count) for t in touches] == [("digits", "snip", 2), ("?", "grasp", 5)]
    assert touches[0].indices is indices
    assert touches[1].indices is None


def test_every_enclosing_listener_hears_and_only_while_it_listens():
    with listen() as outer:
        report_touch("a", "x", 1)
        with listen() as inner:
            report_touch("b", "x", 1)
        report_touch("c", "x", 1)
    report_touch("d", "x", 1)
    assert [t.dataset for t in outer] == ["a", "b", "c"]
    assert [t.dataset for t in inner] == ["b"]


def test_a_given_listener_is_called_instead_and_the_outer_list_hears_too():
    heard = []
    with listen() as outer, listen(heard.append) as empty:
        report_touch("a", "x", 1)
    report_touch("b", "x", 1)
    assert [t.dataset for t in heard] == [t.dataset for t in outer] == ["a"]
    assert empty == []


def test_listening_ends_with_an_error():
    with pytest.raises(KeyError), listen() as touches:
        raise KeyError
    report_touch("a", "x", 1)
    assert touches == []


def test_another_thread_is_another_context():
    with listen() as touches:
        thread = threading.Thread(target=report_touch, args=("a", "x", 1))
        thread.start()
        thread.join()
        assert touches == []
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(report_touch, "b", "x", 1))
        thread.start()
        thread.join()
    assert [t.dataset for t in touches] == ["b"]


def test_concurrent_tasks_hear_their_own_reads():
    async def read(name):
        with listen() as touches:
            for _ in range(3):
                report_touch(name, "x", 1)
                await asyncio.sleep(0)
        return [t.dataset for t in touches]

    async def both():
        return await asyncio.gather(read("a"), read("b"))

    assert asyncio.run(both()) == [["a"] * 3, ["b"] * 3]
