import html
import json
import re
import shutil
import subprocess

import pytest

from thresher.report import write_report

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
    """A function: page text (and flags) → the document after its scripts ran, and what the console said."""

    def show(text, *flags):
        path = tmp_path / "page.html"
        path.write_text(text, encoding="utf-8")
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        logging = ("--enable-logging=stderr", "--v=0")
        done = subprocess.run(
            [CHROMIUM, *QUIET, *logging, profile, *flags, "--dump-dom", path.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return show


def with_script(page, script):
    return page.replace("</body>", f"<script>{script}</script></body>")


def column(document, number):
    body = re.search(r"<table class=\"sortable.*?<tbody>(.*?)</tbody>", document, re.DOTALL).group(1)
    rows = re.findall(r"<tr.*?>(.*?)</tr>", body, re.DOTALL)
    return [re.findall(r"<t[dh].*?>(.*?)</t[dh]>", row)[number] for row in rows]


def test_an_error_on_the_console_would_be_seen(show):
    assert show("<body><script>console.error('a fault')</script></body>")[1]
    assert show("<body><script>undefined.field</script></body>")[1]


@pytest.fixture
def framed(show):
    """A function: page text → (width of its content, width it has) at 360 and 1100 pixels, and the console."""

    def framed(page):
        frame = '<iframe style="width:{}px;height:900px;border:0" srcdoc="{}"></iframe>'
        frames = "".join(frame.format(width, html.escape(page)) for width in (360, 1100))
        script = (
            "document.title = JSON.stringify([...document.querySelectorAll('iframe')].map(f => "
            "[f.contentDocument.documentElement.scrollWidth, f.contentDocument.documentElement.clientWidth]))"
        )
        document, console = show(f'<body onload="{html.escape(script)}">{frames}</body>', "--window-size=1200,1000")
        return json.loads(html.unescape(re.search("<title>(.*?)</title>", document).group(1))), console

    return framed


def test_content_that_sticks_out_would_be_seen(framed):
    assert framed("<div style='width:500px'>wide</div>")[0] == [[508, 360], [1100, 1100]]


def test_the_page_fits_phone_and_desk_and_the_console_stays_silent(every_run, framed):
    assert framed((every_run / "report.html").read_text()) == ([[360, 360], [1100, 1100]], [])


def test_headings_sort_the_table_up_and_down_and_take_the_keyboard(usual_run, show):
    page = (usual_run / "report.html").read_text()
    result = json.loads((usual_run / "result.json").read_text())
    kept = sorted(layer["kept"] for layer in result["layers"])
    script = "const b = document.querySelectorAll('table.sortable button')[4]; b.focus(); b.click();"
    document, console = show(with_script(page, script + "document.title = document.activeElement.textContent;"))
    assert console == []
    assert column(document, 4) == [f"{count:,}" for count in kept]
    assert "<title>Kept</title>" in document
    assert document.count('aria-sort="ascending"') == 1
    document, _ = show(with_script(page, script + "b.click();"))
    assert column(document, 4) == [f"{count:,}" for count in reversed(kept)]
    assert document.count('aria-sort="descending"') == 1


def test_names_sort_by_their_numbers_and_order_comes_back(run_of_many_layers, show):
    page = write_report(run_of_many_layers).read_text()
    names = [layer["name"] for layer in json.loads((run_of_many_layers / "result.json").read_text())["layers"]]
    script = (
        "const b = document.querySelectorAll('table.sortable button');"
        "const order = () => [...document.querySelectorAll('table.sortable tbody th')].map(h => h.textContent);"
        "b[1].click(); const sorted = order(); b[0].click(); document.title = JSON.stringify([sorted, order()]);"
    )
    document, console = show(with_script(page, script))
    by_name, by_order = json.loads(re.search("<title>(.*?)</title>", document).group(1))
    assert console == []
    assert by_order == names
    assert by_name != names
    assert by_name.index("stage1.9.conv2.weight") + 1 == by_name.index("stage1.10.conv1.weight")


def test_the_dark_scheme_reaches_the_figures(usual_run, show):
    script = (
        "document.title = ['h1', 'figure svg text'].map(s => getComputedStyle(document.querySelector(s))"
        ".getPropertyValue(s === 'h1' ? 'color' : 'fill')).join(' ');"
    )
    page = with_script((usual_run / "report.html").read_text(), script)
    titles = [
        re.search("<title>(.*?)</title>", show(page, *flags)[0]).group(1) for flags in ((), ("--force-dark-mode",))
    ]
    assert titles[0].startswith("rgb(28, 32, 36) rgb(89, 97, 106)")
    assert titles[1].startswith("rgb(230, 232, 234) rgb(160, 169, 178)")
