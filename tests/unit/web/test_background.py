import asyncio
import subprocess
import sys
import threading

import pytest

from kraftd.web.background import LazyApp, in_thread


def test_the_result_comes_back_from_another_thread():
    def call(first, second):
        return first + second, threading.current_thread().daemon

    assert asyncio.run(in_thread(call, 1, 2)) == (3, True)


def test_an_error_is_raised_where_it_is_waited_for():
    def call():
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        asyncio.run(in_thread(call))


def test_a_call_that_takes_long_does_not_hold_the_end():
    go_on, ended = threading.Event(), threading.Event()

    def call():
        go_on.wait(10)
        ended.set()

    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(in_thread(call), 0.01)

    asyncio.run(main())
    assert not ended.is_set()
    go_on.set()
    assert ended.wait(10)


def test_an_app_is_built_once_when_it_is_first_asked():
    built = []

    async def app(scope, _receive, _send):
        scope["asked"] = True

    def build():
        built.append(threading.current_thread().daemon)
        return app

    async def main():
        lazy = LazyApp(build)
        assert built == []
        scopes = [{}, {}]
        await asyncio.gather(*(lazy(scope, None, None) for scope in scopes))
        assert scopes == [{"asked": True}] * 2

    asyncio.run(main())
    assert built == [True]


def test_a_process_ends_with_the_traceback_when_one_of_its_threads_fails():
    program = """
import threading, time
from kraftd.web.background import end_process
threading.excepthook = end_process
threading.Thread(target=lambda: {}["lost"], name="reader").start()
time.sleep(30)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 70
    assert "its thread reader failed" in ended.stderr
    assert "KeyError: 'lost'" in ended.stderr
