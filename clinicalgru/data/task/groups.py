"""Labels of the stays of an extract, such as site and ward."""

from __future__ import annotations

import pandas as pd

from clinicalgru.data.events import Events


def groups_of(events: Events) -> pd.DataFrame:
    """Give the labels of each stay: columns of the stays that are text, and neither identifier, covariate nor outcome.

    Parameters
    ----------
    events : Events
        The extract.

    Returns
    -------
    DataFrame, shape (stay, column)
        Text; NA where not recorded.
    """
    taken = {"patient_id", "stay_id", "start", "end", *events.outcomes, *(v.name for v in events.static_variables)}
    others = events.stays[[name for name in events.stays if name not in taken]]
    return others.select_dtypes(exclude="number").astype(object).reset_index(drop=True)
