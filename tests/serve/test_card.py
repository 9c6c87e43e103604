"""The model card: text of an extract, a task or a dictionary is shown as it is, and breaks no table."""

from __future__ import annotations

import copy
from dataclasses import replace

from clinicalgru.serve.card import card

ODD = "a|b <script>*x*</script>\n# heading `code`"


def test_odd_names_stay_within_their_cells(fitted):
    model = copy.copy(fitted)
    first = replace(fitted.variables_[0], label=ODD, unit=ODD)
    model.variables_ = (first, *fitted.variables_[1:])
    model.trained_on_ = fitted.trained_on_ | {"source": ODD, "leakage": {"sentence": ODD}}
    model.task_ = replace(fitted.task_, title=ODD)
    text, plain = card(model), card(fitted)
    assert "<script>" not in text
    assert "\n# heading" not in text
    assert text.count("\n") == plain.count("\n") + 1  # the row of the leakage check
    rows = [line.replace("\\|", "") for line in text.splitlines() if "script" in line and line.startswith("|")]
    assert len(rows) == 3
    assert {row.count("|") for row in rows} == {3, 4}
