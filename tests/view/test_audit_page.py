"""The page of an audit: what was found with its rows, everything that was checked, and no count of few patients."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

import clinicalgru as cg
from clinicalgru.data.audit.result import Audit
from clinicalgru.disclosure import SUPPRESSED


@pytest.fixture(scope="module")
def faulty() -> Audit:
    cohort = cg.simulate(60, random_state=4)
    stays = cohort.stays.copy()
    stays.loc[:6, "end"] = stays.loc[:6, "start"] - pd.Timedelta(hours=1)
    return cg.audit(cg.read_events(cohort.measurements, stays=stays, outcomes=cohort.outcomes))


@pytest.mark.slow
def test_the_page_tells_findings_rows_and_checks(faulty, tmp_path):
    text = replace(faulty, simulated=True).to_html(tmp_path / "audit.html").read_text(encoding="utf-8")
    assert "End before start" in text
    for check in faulty.checks:
        assert check.name.replace("&", "&amp;")[1:] in text
    assert "Simulated patients" in text
    assert 'src="http' not in text


def test_few_patients_are_not_counted_on_the_page(faulty, tmp_path):
    real = replace(faulty, simulated=False)
    finding = next(one for one in real.flagged if one.check.name == "end before start")
    assert 0 < finding.count < 11
    text = real.to_html(tmp_path / "audit.html").read_text(encoding="utf-8")
    row = text[text.index("End before start") :][:900]
    assert SUPPRESSED in row
    assert f">{finding.count}<" not in row
    shown = real.to_html(tmp_path / "all.html", min_cell_size=0).read_text(encoding="utf-8")
    assert f">{finding.count}<" in shown[shown.index("End before start") :][:900]


def test_a_clean_extract_says_so(faulty, tmp_path):
    clean = replace(faulty, findings=tuple(one for one in faulty.findings if not one.flagged))
    assert "All checks passed." in clean.to_html(tmp_path / "audit.html").read_text(encoding="utf-8")
