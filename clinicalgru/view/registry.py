"""Which function draws or writes which result; `clinicalgru.display` looks them up here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from clinicalgru.view.pages.audit_page import audit_page
from clinicalgru.view.pages.cohort_page import cohort_page
from clinicalgru.view.pages.drift_page import drift_page
from clinicalgru.view.pages.evaluation_page import evaluation_page
from clinicalgru.view.pages.forecast_page import forecast_page, plot_forecast
from clinicalgru.view.pages.incidence_page import incidence_page
from clinicalgru.view.pages.leakage_page import leakage_page
from clinicalgru.view.pages.patient_page import patient_page
from clinicalgru.view.pages.protocol_page import protocol_page
from clinicalgru.view.pages.report_page import report_page
from clinicalgru.view.pages.stay_incidence_page import stay_incidence_page
from clinicalgru.view.pages.validation_page import validation_page
from clinicalgru.view.plots.alarm_plots import plot_alarms, plot_burden
from clinicalgru.view.plots.beeswarm import plot_beeswarm
from clinicalgru.view.plots.contribution_plots import plot_attention, plot_contributions
from clinicalgru.view.plots.decision_plots import plot_calibration_curve, plot_decision_curve, plot_subgroups
from clinicalgru.view.plots.evaluation_plots import (
    plot_by_hour,
    plot_calibration,
    plot_differences,
    plot_precision_recall,
    plot_roc,
)
from clinicalgru.view.plots.gates_plot import plot_equations, plot_gates
from clinicalgru.view.plots.incidence_plots import plot_incidence, plot_incidence_calibration, plot_stay_incidence
from clinicalgru.view.plots.instability_plots import plot_mape, plot_refit_risks
from clinicalgru.view.plots.learning_curve_plot import plot_learning_curve
from clinicalgru.view.plots.timeline import plot_patient

PLOTS: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "AlarmReplay": {"stays": plot_alarms, "burden": plot_burden},
    "CohortExplanation": {"beeswarm": plot_beeswarm},
    "DecisionCurve": {"net_benefit": plot_decision_curve},
    "Evaluation": {
        "roc": plot_roc,
        "precision_recall": plot_precision_recall,
        "calibration": plot_calibration,
        "calibration_curve": plot_calibration_curve,
        "differences": plot_differences,
        "by hour": plot_by_hour,
    },
    "Explanation": {
        "timeline": plot_patient,
        "contributions": plot_contributions,
        "attention": plot_attention,
    },
    "ForecastExplanation": {"timeline": plot_forecast},
    "Gates": {
        **{name: partial(plot_gates, show=name) for name in ("retained", "decayed", "update", "reset")},
        "equations": plot_equations,
    },
    "IncidenceEvaluation": {"incidence": plot_incidence, "calibration": plot_incidence_calibration},
    "IncidenceExplanation": {"incidence": plot_stay_incidence},
    "Instability": {"risks": plot_refit_risks, "mape": plot_mape},
    "LearningCurve": {"learning curve": plot_learning_curve},
    "Subgroups": {"forest": plot_subgroups},
}
PAGES: Mapping[str, Callable[..., Any]] = {
    "Audit": audit_page,
    "Drift": drift_page,
    "Evaluation": evaluation_page,
    "Explanation": patient_page,
    "ForecastExplanation": forecast_page,
    "IncidenceEvaluation": incidence_page,
    "IncidenceExplanation": stay_incidence_page,
    "LeakageCheck": leakage_page,
    "ProtocolResult": protocol_page,
    "Report": report_page,
    "TableOne": cohort_page,
    "Validation": validation_page,
}
