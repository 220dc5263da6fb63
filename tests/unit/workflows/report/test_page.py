"""The page: escaped, whole, self-contained, the same for the same results."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from napari_tumorseg.workflows.report.draw import svg
from napari_tumorseg.workflows.report.page import html_page, write_page
from napari_tumorseg.workflows.report.plot import Band, Line, Plot, Series, finite_points
from napari_tumorseg.workflows.report.section import Section, Table, number

PLOT = Plot(
    "Volumes <1 mL",
    "reference (mL)",
    "test (mL)",
    (Series("found", (1.0, 2.0), (1.5, 2.5), keys=("1", "2"), error=((1.0, 2.0), (2.0, 3.0))), Series("missed", (3.0,), (0.0,), "cross")),
    (Line("identity", 1.0, 0.0), Line("bias 0.3", 0.0, 0.3, dashed=True)),
    (Band(-0.1, 0.1),),
)


class Balance(HTMLParser):
    """Checks that every element that is opened is closed in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_plot_is_well_formed_and_the_same_twice():
    first = svg(PLOT)
    assert ElementTree.fromstring(first).tag.endswith("svg")
    assert svg(PLOT) == first


def test_an_empty_plot_says_so_and_draws():
    assert Plot("Nothing", "x", "y").empty
    assert svg(Plot("Nothing", "x", "y")).startswith("<svg")


def test_names_and_a_logarithmic_scale_are_drawn():
    named = Plot("By case", "case", "Dice", (Series("a", (0.0, 1.0), (0.5, 0.6), joined=True),), x_names=("one", "two"), y_limits=(0, 1))
    scaled = Plot("By size", "mm³", "Dice", (Series("", (1.0, 1000.0), (0.5, 0.6)),), x_log=True)
    assert svg(named) != svg(scaled)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="finite"):
        Series("", (1.0,), (float("nan"),))
    with pytest.raises(ValueError, match="above 0"):
        Plot("", "", "", (Series("", (0.0,), (1.0,)),), x_log=True)
    with pytest.raises(ValueError, match="2 x and 1 y"):
        Series("", (1.0, 2.0), (1.0,))
    assert finite_points([(None, 1.0, "a"), (1.0, float("inf"), "b")]) == ((), (), ())


def test_a_page_is_balanced_escaped_and_loads_nothing():
    table = Table("Scores & more", ("case", "Dice", "ok"), (("<a>", 0.5, True), ("b", None, False)))
    page = html_page("Report <x>", [Section("Part", ("A & B",), (table,), (PLOT,), ("a < b",))], {"constants": {"d": 1, "v": [2, 3]}})
    checker = Balance()
    checker.feed(page)
    assert checker.open == []
    assert "&lt;a&gt;" in page
    assert "<a>" not in page
    assert "d = 1; v = 2, 3" in page
    assert '<td class="number">0.5</td><td>yes</td>' in page
    # Namespaces inside the plots are names, not addresses that a browser loads.
    loading = re.findall(r"""(?:src|href)\s*=\s*["'](?!#)[^"']*|url\((?!#)|@import|<script|<link""", page)
    assert loading == []


def test_a_row_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="3 cells in a table of 2"):
        Table("", ("a", "b"), ((1, 2, 3),))


@pytest.mark.parametrize(("value", "text"), [(0.00001234, "1.234e-05"), (float("nan"), "–"), (1234567.0, "1234567"), (True, "yes")])
def test_numbers_in_words(value, text):
    assert number(value) == text


def test_a_page_is_written_whole(tmp_path):
    path = write_page(tmp_path / "report.html", "Report", [Section("Part")], {})
    assert path.read_text(encoding="utf-8").endswith("</html>\n")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
