"""The bar on a terminal, the lines elsewhere; the clock is the test's."""

import io

from rich.console import Console

from thresher.training import Progress, ProgressBar


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def feed(bar, clock, steps, seconds, start=0):
    for step in range(start + 1, start + steps + 1):
        clock.now += seconds
        bar(Progress(step, 200, 100 * step, 0.5, 12.5, None))


def finish(bar, test_error_pct):
    bar(Progress(200, 200, 20_000, 0.5, 12.5, {"step": 200, "test_error_pct": test_error_pct}))


def test_a_plain_line_now_and_then():
    out, clock = io.StringIO(), Clock()
    with ProgressBar("lenet", Console(file=out, width=200), clock) as bar:
        feed(bar, clock, 100, 1.0)
        lines = out.getvalue().splitlines()
        assert len(lines) == 3
        assert lines[0] == ("lenet: step 31/200, 1 steps/s, 100 examples/s, 0:02:49 left, loss 0.5000, error 12.50 %")
        feed(bar, clock, 100, 0.001, start=100)
        assert out.getvalue().splitlines() == lines
        finish(bar, 3.25)
    last = out.getvalue().splitlines()[-1]
    assert last.startswith("lenet: step 200/200, 2 steps/s")
    assert last.endswith("0:00:00 left, loss 0.5000, error 12.50 %, test error 3.25 %")


def test_nothing_at_all_before_the_first_half_minute():
    out, clock = io.StringIO(), Clock()
    with ProgressBar("a", Console(file=out), clock) as bar:
        feed(bar, clock, 100, 0.1)
    assert out.getvalue() == ""


def test_a_resumed_run_counts_from_where_it_went_on():
    out, clock = io.StringIO(), Clock()
    with ProgressBar("a", Console(file=out, width=200), clock) as bar:
        feed(bar, clock, 50, 1.0, start=150)
        finish(bar, None)
    assert "step 200/200, 1 steps/s, 100 examples/s" in out.getvalue()


def test_on_a_terminal_there_is_a_bar():
    out, clock = io.StringIO(), Clock()
    with ProgressBar("lenet [x]", Console(file=out, force_terminal=True, width=160), clock) as bar:
        feed(bar, clock, 200, 1.0)
        finish(bar, None)
    text = out.getvalue()
    assert "lenet [x]" in text
    assert "200/200" in text
    assert "1 steps/s, 100 examples/s, 0:00:00 left, loss 0.5000, error 12.50 %" in text


def test_it_writes_to_standard_error(capsys):
    clock = Clock()
    with ProgressBar(clock=clock) as bar:
        feed(bar, clock, 40, 1.0)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "train: step 31/200" in captured.err


def test_a_run_drives_it(toy, capsys):
    with ProgressBar("toy") as bar:
        toy.run(None, on_progress=bar)
    assert "toy: step 40/40" in capsys.readouterr().err


def test_hours_left():
    out, clock = io.StringIO(), Clock()
    with ProgressBar("a", Console(file=out, width=200), clock) as bar:
        feed(bar, clock, 2, 3725.0)
    assert "204:52:30 left" in out.getvalue()  # 198 steps of 1 h 2 min 5 s
