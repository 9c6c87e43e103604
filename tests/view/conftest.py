"""An evaluation and an explanation as the pages receive them; `said` turns each word that comes from data."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from clinicalgru.data.dictionary.variable import Variable
from clinicalgru.evaluate.evaluation import Evaluation, evaluate
from clinicalgru.explain.faithfulness.result import Faithfulness

METHODS = ("contributions", "attention", "random order")
Said = Callable[[str], str]
PAYLOADS = (
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>", "<iframe src=javascript:alert(1)></iframe>", "<a href='javascript:alert(1)'>x</a>",
    "<b>bold</b>", "<!--", "-->", "]]>", '\'"><img src=//evil.example/x>', '" onmouseover="alert(1)',
    "' autofocus onfocus='alert(1)", "</title><script>alert(1)//", "</style><script>alert(1)//", "</textarea><p>",
    "&lt;script&gt;alert(1)&lt;/script&gt;", "&#60;img src=x onerror=alert(1)&#62;",
    "\\u003cscript>alert(1)\\u003c/script>", "<\x00script>", "%{customdata[0]}<extra>x</extra>",
    "$\\href{//evil.example}{x}$", "<details open ontoggle=alert(1)>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>", "</SCRIPT ><p>",
)  # fmt: skip
SERIES = {  # name: label, unit, kind, reference, typical, spread, measurements, times each contributes
    "heart_rate": ("Heart rate", "/min", "numeric", (60.0, 100.0), 96, 14, 46, 0.02),
    "map": ("Mean arterial pressure", "mm[Hg]", "numeric", (70.0, 105.0), 68, 9, 40, -0.03),
    "respiratory_rate": ("Respiratory rate", "/min", "numeric", (12.0, 20.0), 22, 4, 38, 0.02),
    "temperature": ("Temperature", "Cel", "numeric", (36.1, 37.8), 37.6, 0.6, 17, -0.02),
    "gcs": ("Glasgow Coma Scale", "1", "ordinal", (15.0, 15.0), 11, 2, 12, 0.12),
    "lactate": ("Lactate", "mmol/L", "numeric", (0.5, 2.0), 4.1, 1.6, 5, 0.33),
    "creatinine": ("Creatinine", "umol/L", "numeric", (49.0, 104.0), 180, 35, 4, 0.1),
    "urea": ("Urea", "mmol/L", "numeric", (2.5, 7.8), 17, 3, 4, 0.13),
    "platelets": ("Platelets", "10*9/L", "numeric", (150.0, 400.0), 130, 20, 3, -0.05),
    "ventilated": ("Mechanical ventilation", "1", "binary", None, 1, 0, 6, 0.06),
    "potassium": ("Potassium", "mmol/L", "numeric", (3.5, 5.1), 4.4, 0.4, 4, 0.01),
    "ph": ("Arterial pH", "1", "numeric", (7.35, 7.45), 7.31, 0.05, 5, -0.04),
}
OTHERS = {"bilirubin": "Bilirubin", "age": "Age", "icu_type": "Type of unit"}


def make_variable(name: str, *, said: Said = str, static: bool = False) -> Variable:
    label, unit, kind, reference = SERIES.get(name, (OTHERS.get(name), "1", "numeric", None))[:4]
    levels = {"2": said("cardiac surgery")} if name == "icu_type" else {}
    return Variable(
        name=said(name), label=said(label), variable_type=kind, unit=said(unit), reference=reference,
        static=static, categories=levels,
    )  # fmt: skip


def make_measurements(said: Said = str) -> pd.DataFrame:
    random, rows = np.random.default_rng(3), []
    for name, (_, _, _, _, typical, spread, count, effect) in SERIES.items():
        for hours in np.sort(random.choice(np.arange(0, 192), count, replace=False)) / 4:
            parts = effect * random.normal([1, 0.3, 0.15], 0.4)
            rows.append(
                (
                    hours,
                    said(name),
                    round(typical + spread * random.normal(), 0 if name == "gcs" else 2),
                    *parts,
                    parts.sum(),
                )
            )
    names = ["hours", "variable", "value", "by_value", "by_measured", "by_timing", "contribution"]
    return pd.DataFrame(rows, columns=names).sort_values("hours", ignore_index=True)


def make_explanation(said: Said = str) -> SimpleNamespace:
    random, hours = np.random.default_rng(5), np.arange(0, 49.0)
    weight = random.gamma(0.6, size=49) * np.exp((hours - 48) / 20)
    course = 1 / (1 + np.exp(2.4 - 1.6 * hours / 48 - 0.5 * np.sin(hours / 5)))
    series = [make_variable(name, said=said) for name in (*SERIES, "bilirubin")]
    static = [make_variable(name, said=said, static=True) for name in ("age", "icu_type")]
    described = [(said("age"), 74.0, 0.31), (said("icu_type"), 2.0, -0.22), (said("height"), np.nan, 0.0)]
    return SimpleNamespace(
        stay_label=said("stay"), variables=(*series, *static), risk=float(course[-1]), reference_risk=0.081,
        measurements=make_measurements(said), completeness_gap=0.0004, n_heads=16, n_networks=1,
        unit="log-odds", target_text="",
        trajectory_note="", reference_text="average in training",
        absent=pd.DataFrame({"variable": [said("bilirubin")], "contribution": [-0.12]}),
        half_life={said(name): 8.0 + place for place, name in enumerate(SERIES)},
        standing=None, prediction_set=None, refit_range=None, alert_threshold=None,
        outputs=pd.DataFrame({"output": [], "risk": []}),
        zero_time=None, show_id=False, marks=pd.DataFrame({"hours": [], "label": []}),
        coded_events=pd.DataFrame({"hours": [], "code": [], "contribution": []}),
        static=pd.DataFrame(described, columns=["name", "value", "contribution"]),
        risk_trajectory=pd.DataFrame({"hours": hours, "risk": course, "low": 0.8 * course,
                                      "high": 1 - 0.9 * (1 - course)}),
        attention=pd.DataFrame({"hours": hours, "weight": weight / weight.sum()}),
        provenance={
            said("trained_on"): said("cohort"), "task": said("in_hospital_mortality"), "hash": said("sha256:3f2a"),
            "simulated": "yes",
        },
    )  # fmt: skip


def make_evaluation(said: Said = str) -> Evaluation:
    random = np.random.default_rng(7)
    truth = random.normal(-2.3, 1.7, 800)
    outcome = random.random(800) < 1 / (1 + np.exp(-truth))
    names, noise = ("GRU", "Boosted trees", "Logistic regression"), (0.7, 0.6, 1.5)
    risks = [1 / (1 + np.exp(-0.9 * (truth + spread * random.normal(size=800)))) for spread in noise]
    baselines = {said(name): risk for name, risk in zip(names[1:], risks[1:], strict=True)}
    patients = np.arange(800) // 1.02
    return evaluate(outcome, risks[0], patients=patients, baselines=baselines, name=said(names[0]), n_resamples=60)


def make_faithfulness(said: Said = str, *, stays: int | None = 400, beats: float = 0.985) -> Faithfulness:
    numbers = {"deletion": [1.44, 0.3, 0.2], "insertion": [1.2, 0.4, 0.2], "comprehensiveness": [0.11, 0.03, 0.02]}
    ends = {"deletion_low": [1.4, 0.2, 0.1], "deletion_high": [1.5, 0.4, 0.3], "sufficiency": [0.01, 0.05, 0.06]}
    ends |= {"difference": [0.0, 1.1, 1.2], "difference_low": [0.0, 1.0, 1.1], "difference_high": [0.0, 1.2, 1.3]}
    beaten = {"win_rate_random": [beats, 0.62, np.nan], "win_rate_attention": [0.9, np.nan, 0.38]}
    table = pd.DataFrame({"method": [said(name) for name in METHODS], **numbers, **ends, **beaten})
    return Faithfulness(table, stays, stays, max_completeness_error=0.0004, random_weights_correlation=0.031)


def make_around(said: Said = str) -> dict[str, object]:
    """What else an evaluation page is given."""
    counted = pd.DataFrame(
        {"what": [said("rows in"), said("used"), said("rejected: implausible")], "rows": [40200, 39800, 400]}
    )
    return {
        "ledger": SimpleNamespace(to_frame=lambda: counted),
        "flow": (
            (said("stays in the extract"), 1000),
            (said("at least one measurement in 48 h"), 840),
            (said("outcome known"), 800),
        ),
        "provenance": {said("data"): said("PhysioNet 2012, set a"), "random_state": said("0"), "simulated": "yes"},
        "title": said("GRU against boosted trees"),
        "faithfulness": make_faithfulness(said),
    }


@pytest.fixture
def evaluation() -> Evaluation:
    return make_evaluation()


@pytest.fixture
def explanation() -> SimpleNamespace:
    return make_explanation()
