"""A matplotlib figure as inline SVG: coloured by the page, the same bytes each time, no identifier shared."""

import io
import re
from collections.abc import Callable
from xml.etree import ElementTree

import matplotlib.style
from matplotlib.figure import Figure

# Stand-ins that the drawing code uses for the page's colours. The page says what they are, light or dark, as
# CSS variables --ink, --muted, … so that one drawing is legible on both.
INK, MUTED, RULE = "#000001", "#000002", "#000003"
FIRST, SECOND, ALARM = "#000004", "#000005", "#000006"
_VARIABLES = {INK: "ink", MUTED: "muted", RULE: "rule", FIRST: "first", SECOND: "second", ALARM: "alarm"}

STYLE: dict[str, object] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a '$' in a layer's name is a dollar sign
    "font.family": "DejaVu Sans",  # what the layout reckons with; the page sets its own, which is no wider
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
    "hatch.color": INK,
}


def draw(key: str, label: str, size: tuple[float, float], paint: Callable[[Figure], None]) -> str:
    """An ``<svg>`` element of what `paint` does to an empty figure of `size` (inches), read aloud as `label`.

    Every identifier in it starts with `key`, which is unlike that of any other figure on the page. Equal
    paintings give equal text. The user's matplotlib settings have no say. Cost: one layout and one rendering.
    """
    with matplotlib.style.context(["default", STYLE, {"svg.hashsalt": key}]):
        figure = Figure(figsize=size, layout="constrained")
        paint(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", transparent=True)
    return _inline(buffer.getvalue(), key, label)


def _inline(document: bytes, key: str, label: str) -> str:
    root = ElementTree.fromstring(document)
    used = set(re.findall(rb'(?:url\(|href=")#([^)"]+)', document))
    for element in list(root.iter()):
        # HTML knows SVG without namespaces; metadata is matplotlib's own, and its <style> would leak into the page
        element.tag = _local(element.tag)
        for child in list(element):
            if _local(child.tag) in ("metadata", "style"):
                element.remove(child)
        attributes = {_local(name): value for name, value in element.attrib.items()}
        if attributes.get("id", "").encode() not in used:
            attributes.pop("id", None)
        element.attrib.clear()
        element.attrib.update({name: _rewritten(name, value, key) for name, value in attributes.items()})
    box = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib.update({"viewBox": box, "role": "img", "aria-label": label})
    return ElementTree.tostring(root, encoding="unicode").strip()


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _rewritten(name: str, value: str, key: str) -> str:
    if name == "id":
        return f"{key}-{value}"
    if name == "href" and value.startswith("#"):
        return f"#{key}-{value[1:]}"
    if name == "href":
        return value
    value = value.replace("url(#", f"url(#{key}-")
    for stand_in, variable in _VARIABLES.items():
        value = value.replace(stand_in, f"var(--{variable})")
    return value
