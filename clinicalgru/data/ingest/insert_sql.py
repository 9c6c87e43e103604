"""The SQL that inserts the cells of one table: pairs of identifiers, pairs of name and unit, and rows."""

from __future__ import annotations

# The pairs of identifiers of some cells that are not known yet; a pair is trimmed once, and not in every row.
NEW_IDENTIFIERS = """
INSERT INTO identifiers
SELECT (SELECT count(*) FROM identifiers) + row_number() OVER () - 1, patient_id_written, stay_id_written,
    {patient}, {stay}, {is_corrupt}
FROM {relation}
"""
UNKNOWN_IDENTIFIERS = """
(SELECT c.* FROM (SELECT DISTINCT patient_id_written, stay_id_written FROM {key_cells}) c ANTI JOIN identifiers i
ON i.patient_id_written IS NOT DISTINCT FROM c.patient_id_written
    AND i.stay_id_written IS NOT DISTINCT FROM c.stay_id_written)
"""
# The pairs of name and unit of some cells that are not known yet.
NEW_NAME_UNITS = """
INSERT INTO name_units
SELECT (SELECT count(*) FROM name_units) + row_number() OVER () - 1, variable_written, unit_written, {name}, {unit}
FROM {relation}
"""
UNKNOWN_NAME_UNITS = """
(SELECT c.* FROM (SELECT DISTINCT variable_written, unit_written FROM {key_cells}) c ANTI JOIN name_units s
ON s.variable_written IS NOT DISTINCT FROM c.variable_written AND s.unit_written IS NOT DISTINCT FROM c.unit_written)
"""
# The cells with what their identifiers, name and unit mean.
CELLS_WITH_MEANING = """
(SELECT c.*, i.identifier_id, i.patient, i.stay, i.is_corrupt, s.name_unit_id, s.name, s.role, s.canonical,
    s.word_values
FROM {cells} c
LEFT JOIN identifiers i
ON i.patient_id_written IS NOT DISTINCT FROM c.patient_id_written
    AND i.stay_id_written IS NOT DISTINCT FROM c.stay_id_written
LEFT JOIN (FROM name_units LEFT JOIN names USING (name)) s
ON s.variable_written IS NOT DISTINCT FROM c.variable_written AND s.unit_written IS NOT DISTINCT FROM c.unit_written)
"""
# Cells with what a column of times means, from the table of its different cells.
WITH_TIMES = """
(SELECT c.*, t.* EXCLUDE ({ours}_written) FROM {relation} c
LEFT JOIN distinct_{ours} t ON t.{ours}_written IS NOT DISTINCT FROM c.{ours}_written)
"""
# INSERT of the cells of one table into `rows`, with the reason against each row. What few rows need stands in CASE or
# after AND, where DuckDB computes it for these rows only, such as the text of a cell that is no number. What stands in
# coalesce, or after IN with a list of more than a few words, it computes for every row.
INSERT_ROWS = """
INSERT INTO rows
SELECT {first_file} + c_file, c_row, identifier_id, time,
    available, is_date, has_offset, time_of_day, available_of_day, name_unit_id,
    CASE WHEN number IS NOT NULL THEN number {of_limit}
         ELSE word_values[lower({value_text})] END AS value, {is_duplicate_source},
    CASE WHEN role = 'code' THEN coalesce(code, {value_text}) END,
    CASE WHEN is_header THEN 'repeated header'
         WHEN is_other_header THEN {other_header}
         WHEN {is_corrupt} THEN 'stray quote or control character'
         WHEN {no_identifier} THEN 'no identifier'
         WHEN name IS NULL THEN 'no variable'
         WHEN role = 'identifier' THEN NULL
         WHEN role = 'code' AND coalesce(code, {value_text}) IS NULL THEN {missing}
         WHEN role IS DISTINCT FROM 'code' AND {is_missing}
             THEN coalesce(nullif(source_reason, {not_a_pair}), {missing})
         WHEN time IS NULL AND {time_text} IS NULL THEN 'no time'
         {local_time_reasons}
         WHEN time IS NULL AND {is_swapped} THEN {swapped}
         WHEN time IS NULL THEN 'time not readable'
         WHEN available IS NULL AND {available_text} IS NOT NULL THEN 'available_at not readable'
         WHEN available IS NOT NULL AND (available_is_date <> is_date OR available_has_offset <> has_offset)
             THEN 'available_at in another format than time'
         WHEN role IS DISTINCT FROM 'code' AND value IS NULL AND source_reason IS NULL THEN 'value is not a number'
         ELSE source_reason END,
    {is_limit}
FROM ({cells})
"""
# The cells with local times as UTC, and how many UTC instants each local time names.
CELLS_IN_UTC = """
SELECT * REPLACE (
        CASE WHEN NOT is_date OR has_offset THEN time
             WHEN time_of_day = 2 THEN start_of_day(time) ELSE to_instant(time) END AS time,
        CASE WHEN NOT available_is_date OR available_has_offset THEN available
             WHEN available_of_day = 2 THEN start_of_day(available) ELSE to_instant(available) END AS available,
        true AS has_offset, true AS available_has_offset),
    CASE WHEN is_date AND NOT has_offset AND time_of_day <> 2 THEN count_instants(time) END AS time_instants,
    CASE WHEN available_is_date AND NOT available_has_offset AND available_of_day <> 2
         THEN count_instants(available) END AS available_instants
FROM ({cells})"""
LOCAL_TIME_REASONS = """
         WHEN time_instants = 2 THEN 'ambiguous local time'
         WHEN time_instants = 0 THEN 'nonexistent local time'
         WHEN available_instants = 2 THEN 'ambiguous available_at'
         WHEN available_instants = 0 THEN 'nonexistent available_at'"""
