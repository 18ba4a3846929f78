import html
import json
import re
import shutil
import subprocess

import pytest

from thresher.report.study_page import write_study_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)"),
]


@pytest.fixture
def show(tmp_path):
    """A function: page text (and flags) → the title that its scripts set, and what the console said."""

    def show(text, *flags):
        path = tmp_path / "shown.html"
        path.write_text(text, encoding="utf-8")
        own = (f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--v=0", *flags)
        done = subprocess.run(
            [CHROMIUM, *QUIET, *own, "--dump-dom", path.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        title = html.unescape(re.search("<title>(.*?)</title>", done.stdout).group(1))
        return title, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return show


@pytest.fixture
def page(troubled, tmp_path):
    return write_study_report(tmp_path / "study.html", "A study", troubled).read_text(encoding="utf-8")


def test_the_page_fits_phone_and_desk_and_the_console_stays_silent(page, show):
    frames = "".join(
        f'<iframe style="width:{width}px;height:900px;border:0" srcdoc="{html.escape(page)}"></iframe>'
        for width in (360, 1100)
    )
    script = (
        "document.title = JSON.stringify([...document.querySelectorAll('iframe')].map(f => "
        "[f.contentDocument.documentElement.scrollWidth, f.contentDocument.documentElement.clientWidth]))"
    )
    title, console = show(f'<title></title><body onload="{html.escape(script)}">{frames}</body>')
    assert console == []
    assert json.loads(title) == [[360, 360], [1100, 1100]]


def test_every_table_sorts_by_every_column_and_what_is_absent_stays_last(page, show):
    script = """
      const said = [];
      for (const table of document.querySelectorAll("table.sortable")) {
        const heads = [...table.tHead.rows[0].cells];
        heads.forEach((head, column) => {
          head.querySelector("button").click();
          if (head.classList.contains("n"))
            said.push([...table.tBodies[0].rows].map(row => Number(row.cells[column].dataset.value)));
        });
      }
      document.title = JSON.stringify(said.map(column => column.map(v => v === Infinity ? 1e300 : v)));
    """
    title, console = show(page.replace("</body>", f"<script>{script}</script></body>"))
    assert console == []
    columns = json.loads(title)
    assert len(columns) > 10
    assert all(column == sorted(column) for column in columns)
    # three of all runs have no error, no speedup and no times
    absent = [sum(value == 1e300 for value in column) for column in columns if len(column) == 35]
    assert absent == [0, 0, 3, 3, 3, 3]


def test_the_dark_scheme_reaches_the_charts(page, show):
    script = """
      const line = [...document.querySelectorAll("figure svg path")].find(p => p.style.stroke.includes("method-0"));
      document.title = [document.body, line].map((e, i) => getComputedStyle(e)[i ? "stroke" : "color"]).join(" ");
    """
    page = page.replace("</body>", f"<script>{script}</script></body>")
    assert show(page)[0] == "rgb(28, 32, 36) rgb(10, 103, 172)"
    assert show(page, "--force-dark-mode")[0] == "rgb(230, 232, 234) rgb(92, 180, 236)"
