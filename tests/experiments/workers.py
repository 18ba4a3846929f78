"""Worker processes to be killed: `python workers.py STORE URL NUMBER GRACE STUDY CODE`.

Forks NUMBER workers and, for every one that is killed, another. They write lines to standard output, each in one
write: "PID step HASH STEP" after every update, "PID done HASH" after a training that was not done before, and
"PID say TEXT" for what the queue has to say. The training of seed 0 stops for good at its fifth update, the first
time somebody gets there.
"""

import functools
import os
import sys
import threading
import traceback
from pathlib import Path

import torch

from thresher.experiments import run
from thresher.experiments.queue import Queue
from thresher.experiments.store import Store
from thresher.experiments.worker import work


def write(*words):
    os.write(1, (" ".join(map(str, (os.getpid(), *words))) + "\n").encode())


def watched(recipe, out, **settings):
    before = (out / "result.json").exists()

    def on_progress(progress):
        write("step", recipe.hash, progress.step)
        if recipe.seed == 0 and progress.step == 5:
            try:
                os.close(os.open(out.parent / ".stopped-once", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return
            write("stopped", recipe.hash)
            threading.Event().wait()

    result = run(recipe, out, **{**settings, "on_progress": on_progress})
    if not before:
        write("done", recipe.hash)
    return result


def worker(store, url, grace, study, code):
    torch.set_num_threads(1)
    queue = Queue(url, study, grace=grace, code=code, patience=60.0, say=functools.partial(write, "say"))
    work(Store.open(store), queue, checkpoint_every=2, train=watched)


def main(store, url, number, grace, study, code):
    url = Path(url) if "://" not in url else url
    left = int(number)
    to_start = left
    while left:
        for _ in range(to_start):
            if os.fork() == 0:
                status = 1
                try:
                    worker(Path(store), url, int(grace), study, code)
                    status = 0
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(status)
        _, status = os.wait()
        to_start = 1 if os.WIFSIGNALED(status) else 0
        left -= 1 - to_start
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
