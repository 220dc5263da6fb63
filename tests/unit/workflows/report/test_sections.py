"""Every number of a section stands in the result, and every point of a plot in the table it was drawn from."""

from __future__ import annotations

import numpy as np
import pytest

from napari_tumorseg.workflows.agree import AgreeRequest, agree
from napari_tumorseg.workflows.raters import RatersRequest, raters
from napari_tumorseg.workflows.report.agreement import agreement_plots, agreement_section
from napari_tumorseg.workflows.report.page import html_page
from napari_tumorseg.workflows.report.raters import rater_plots, rater_section


@pytest.fixture
def agreement(tmp_path):
    rng = np.random.default_rng(1)
    reference = rng.uniform(1, 20, 25)
    test = reference + rng.normal(0.5, 1, 25)
    table = tmp_path / "volumes.csv"
    lines = [f"p{i},{a},{b}" for i, (a, b) in enumerate(zip(reference, test, strict=True))]
    table.write_text("\n".join(["patient,manual,ai", *lines]))
    return reference, test, agree(AgreeRequest(table, "manual", "ai", patient="patient"))


def test_bland_altman_and_scatter_hold_the_pairs(agreement):
    reference, test, document = agreement
    difference, scatter = agreement_plots(document)
    assert sorted(difference.series[0].y) == pytest.approx(sorted(test - reference))
    assert sorted(difference.series[0].x) == pytest.approx(sorted((test + reference) / 2))
    assert set(scatter.series[0].keys) == {f"p{i}" for i in range(25)}
    levels = [line.intercept for line in difference.lines]
    d = test - reference
    assert levels == pytest.approx([d.mean(), d.mean() + 1.96 * d.std(ddof=1), d.mean() - 1.96 * d.std(ddof=1)], rel=1e-3)


def test_the_section_of_agreement_becomes_a_page(agreement):
    section = agreement_section(agreement[2])
    page = html_page("Report", [section], {})
    assert "Bland-Altman" in page
    assert f"{agreement[2]['concordance']['ccc']:.4g}" in page


def table_of(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    return path


def test_categories_and_values_become_tables(tmp_path):
    rows = "\n".join(f"c{i},{i % 3},{(i * 2) % 3},{i % 3}" for i in range(30))
    document = raters(RatersRequest(table_of(tmp_path, f"case,r1,r2,r3\n{rows}")))
    assert document["kind"] == "categories"
    assert rater_plots(document) == ()
    kappas = [row for row in rater_section(document).tables[0].rows if row[1] == "plain"]
    assert len(kappas) == 3
    rows = "\n".join(f"c{i},{i + 0.5},{i * 1.1}" for i in range(30))
    document = raters(RatersRequest(table_of(tmp_path, f"case,r1,r2\n{rows}")))
    assert document["kind"] == "values"
    section = rater_section(document)
    assert section.tables[0].rows[0][1] == document["pairs"][0]["concordance"]["ccc"]
    assert html_page("Report", [section], {})
