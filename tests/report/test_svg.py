import re
from xml.etree import ElementTree

import matplotlib as mpl
import pytest

from thresher.report.svg import ALARM, FIRST, INK, MUTED, RULE, SECOND, draw


def painted(figure):
    axes = figure.subplots()
    axes.plot([1, 2, 3], [3, 1, 2], "o-", color=FIRST, label="a line")
    axes.bar([1, 2], [1, 2], color=SECOND, hatch="//")
    axes.imshow([[0, 1], [2, 3]])
    axes.legend()


def identifiers(svg):
    return set(re.findall(r'\bid="([^"]+)"', svg))


def test_the_same_painting_gives_the_same_text():
    assert draw("a", "label", (3, 2), painted) == draw("a", "label", (3, 2), painted)


def test_figures_share_no_identifier_and_refer_to_none_but_their_own():
    one, other = (draw(key, "label", (3, 2), painted) for key in ("one", "other"))
    assert identifiers(one)
    assert not identifiers(one) & identifiers(other)
    for svg in (one, other):
        referred = set(re.findall(r'(?:href="|url\()#([^")]+)', svg))
        assert referred == identifiers(svg)


def test_the_element_stands_in_html_without_prolog_namespace_metadata_or_style():
    svg = draw("a", "label", (3, 2), painted)
    root = ElementTree.fromstring(svg)
    assert root.tag == "svg"
    assert root.attrib.keys() == {"viewBox", "role", "aria-label"}
    assert root.attrib["role"] == "img"
    assert svg.startswith("<svg ")
    assert not {"metadata", "style"} & {element.tag for element in root.iter()}
    assert "http" not in svg


def test_every_colour_is_one_of_the_pages():
    svg = draw("a", "label", (3, 2), painted)
    for stand_in in (INK, MUTED, RULE, FIRST, SECOND, ALARM):
        assert stand_in not in svg
    assert {"var(--ink)", "var(--muted)", "var(--rule)", "var(--first)", "var(--second)"} <= set(
        re.findall(r"var\(--\w+\)", svg)
    )
    painted_black = re.findall(r"(?:fill|stroke): #[0-9a-f]{6}", svg)
    assert painted_black == []


@pytest.mark.parametrize("text", ['"><script>', "a & b", "$x^2$", "<svg", 'id="a"', "url(#b)"])
def test_text_stays_text(text):
    svg = draw("a", text, (3, 2), lambda figure: figure.text(0.1, 0.5, text))
    root = ElementTree.fromstring(svg)
    assert root.attrib["aria-label"] == text
    assert [element.text for element in root.iter("text")] == [text]
    assert "<script" not in svg


def test_the_users_settings_have_no_say_and_are_left_alone():
    expected = draw("a", "label", (3, 2), painted)
    with mpl.rc_context({"axes.facecolor": "red", "svg.fonttype": "path", "xtick.major.size": 20.0}):
        before = dict(mpl.rcParams)
        assert draw("a", "label", (3, 2), painted) == expected
        assert dict(mpl.rcParams) == before
