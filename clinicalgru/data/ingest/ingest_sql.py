"""The SQL of the workspace's tables: rows, names, units, stays, and what is computed from them."""

from __future__ import annotations

PART_STEP = 1 << 40  # more rows than a file has
PLACE = f"part::BIGINT * {PART_STEP} + row"  # of a row in the extract, as one number: 20 times faster than a pair
# All rows of the extract with the first reason against each, if any.
ROWS = """
CREATE TABLE rows (
    part INTEGER, row BIGINT, patient VARCHAR, stay VARCHAR, time BIGINT, available BIGINT, is_date BOOLEAN,
    has_offset BOOLEAN, time_of_day UTINYINT, available_of_day UTINYINT, name VARCHAR, unit VARCHAR, value DOUBLE,
    is_duplicate_source BOOLEAN, code VARCHAR, reason VARCHAR, is_limit BOOLEAN)
"""
# Cells without a value of wide tables: counted only, as nine of ten cells may be blank.
BLANK_CELLS = "CREATE TABLE blank_cells (part INTEGER, row BIGINT, name VARCHAR, rows BIGINT)"
# Rows and blank cells in all.
TOTAL = "SELECT (SELECT count(*) FROM rows) + (SELECT coalesce(sum(rows), 0) FROM blank_cells)::BIGINT"
# The names of the source with their variables, and the words that stand for a value.
NAMES = """
CREATE TABLE names AS
SELECT n.*, CASE WHEN l.canonical IS NOT NULL THEN map(l.word, l.number) END AS word_values
FROM names_frame n LEFT JOIN levels_frame l USING (canonical)
"""
# The names of further sources, where the first has none.
FURTHER_NAMES = """
INSERT INTO names
SELECT a.name, a.variable, a.role, a.canonical, any_value(n.word_values)
FROM further_names_frame a LEFT JOIN names n USING (canonical)
WHERE a.name NOT IN (SELECT name FROM names) GROUP BY ALL
"""
# Rejects a row that may be cut off.
REJECT_ROW = """
UPDATE rows SET reason = '{reason}', patient = NULL, time = NULL
WHERE part = {part} AND row = {row}
"""
# Unknown names that are safe to report: in rows of several patients, or of letters only, and equal to no identifier;
# never dates or decimal numbers.
SAFE_NAMES = """
SELECT u.name FROM unknown_frame u LEFT JOIN rows r USING (name)
WHERE NOT regexp_full_match(u.name, '[+-]?\\d{0,3}([.,]\\d*)?([eE][+-]?\\d+)?|.*\\d[-/.:]\\d\\d.*[-/.:]\\d.*')
    AND NOT regexp_matches(u.name, '[\\x00-\\x1f\"]') AND length(u.name) <= 200
GROUP BY u.name
HAVING (count(DISTINCT r.patient) > 1 AND count(DISTINCT r.stay) > 1 OR regexp_full_match(u.name, '[\\pL _]+'))
    AND u.name NOT IN (FROM (SELECT patient FROM rows UNION SELECT stay FROM rows) t(who) WHERE who IS NOT NULL)
"""
# The first row with a reason.
FIRST_WITH_REASON = "SELECT part, row FROM rows WHERE reason = '{reason}' ORDER BY part, row LIMIT 1"
# The rows by the form of their time, in one pass: how many of each, the place of the first, and the earliest time.
TIME_FORMS = f"""
CREATE OR REPLACE TEMP TABLE time_forms AS
SELECT is_date, has_offset, count(*) AS rows, min({PLACE}) AS place, min(time) AS first
FROM rows GROUP BY is_date, has_offset, time IS NULL
"""
# Dates and numbers of hours: how many of each, where the first is, and the earliest; the rarer first.
TIME_FORMATS = f"""
SELECT is_date, sum(rows)::BIGINT, min(place) // {PART_STEP}, min(place) % {PART_STEP}, min(first)
FROM time_forms WHERE first IS NOT NULL GROUP BY is_date ORDER BY 2
"""
# Whether there are times with and without UTC offset (2) or only one of them (1), and where the first is.
UTC_OFFSETS = f"""
SELECT count(DISTINCT has_offset), min(place) // {PART_STEP}, min(place) % {PART_STEP}
FROM time_forms WHERE has_offset IS NOT NULL
"""
# Whether dates have a UTC offset, where all have or none has.
HAS_OFFSET = "SELECT any_value(has_offset) FROM time_forms WHERE has_offset IS NOT NULL AND is_date"
# Of each file: how many times are not at midnight, how many are, and the first and last.
TIMES_OF_DAY = """
SELECT part, count(*) FILTER ({kind}_of_day = 0), count(*) FILTER ({kind}_of_day = 1), min({kind}), max({kind})
FROM rows WHERE reason IS NULL AND {kind} IS NOT NULL AND {kind}_of_day IS NOT NULL GROUP BY part ORDER BY part
"""
# Takes midnights for dates.
TAKE_FOR_DATES = "UPDATE rows SET {kind}_of_day = 2 WHERE {kind}_of_day = 1 AND part IN ({parts})"
# Gives the values of a variable, in the files from a number on, the unit of their table where none is written.
UNIT_OF_TABLE = """
UPDATE rows SET unit = $unit
WHERE part >= $first AND unit IS NULL AND name IN (SELECT name FROM names WHERE canonical = $variable)
"""
# Takes the stay from the rows of some files, so that they find it by patient and time; how many of them are no dates.
WITHOUT_STAY = "UPDATE rows SET stay = NULL WHERE part IN ({parts}) AND patient IS NOT NULL"
N_WITHOUT_DATE = "SELECT count(*) FROM rows WHERE part IN ({parts}) AND NOT is_date"
# The units with which each variable occurs.
UNITS_SEEN = """
SELECT DISTINCT n.variable, r.name, r.unit
FROM rows r JOIN names n USING (name) WHERE r.reason IS NULL AND r.value IS NOT NULL
"""
# Gives rows without a stay the patient's stay at their time; of several, the one that started last.
ASSIGN_STAY = """
UPDATE rows SET stay = assigned.stay
FROM (
    SELECT r.rowid AS id, k.stay, k.ended, r.time
    FROM rows r ASOF JOIN (FROM stay_keys WHERE start IS NOT NULL) k ON r.patient = k.patient AND r.time >= k.start
    WHERE r.stay IS NULL AND r.reason IS NULL
) assigned
WHERE rows.rowid = assigned.id AND (assigned.ended IS NULL OR assigned.time <= assigned.ended)
"""
# Rejects rows of a duplicate source whose value another table has at the same time; values that were rounded
# differently (32 bits, a converted unit) are equal.
REJECT_DUPLICATES = """
UPDATE rows SET reason = '{duplicate}'
FROM (
    WITH converted AS (
        SELECT r.rowid AS id, r.patient, r.stay, n.variable, r.time, (r.value + u.shift) * u.factor AS value,
            r.is_duplicate_source
        FROM rows r JOIN names n USING (name) JOIN units u ON u.name = r.name AND u.unit = coalesce(r.unit, '')
        WHERE r.reason IS NULL AND r.value IS NOT NULL AND r.time IS NOT NULL AND u.known AND n.role = 'series'
    )
    SELECT DISTINCT d.id
    FROM converted d JOIN converted f USING (patient, stay, variable, time)
    WHERE d.is_duplicate_source AND NOT f.is_duplicate_source AND abs(d.value - f.value) <= 1e-6 * abs(f.value)
) duplicates
WHERE rows.rowid = duplicates.id
"""
# Each row with its stay, variable, converted value, when it was known, and the first reason against it. It was known
# when the extract says so, but not before its time, nor before the end of its day where it has no time of day.
ROWS_WITH_REASON = """
CREATE VIEW rows_with_reason AS
SELECT r.part, r.row, k.position, r.time,
    CASE WHEN r.known > r.time THEN r.known WHEN r.time_of_day = 2 THEN end_of_day(r.time) ELSE r.time END AS available,
    r.time - r.known AS too_early,
    CASE WHEN r.known > r.time THEN r.available_of_day = 2 OR r.time_of_day = 2 AND r.known = end_of_day(r.time)
         ELSE r.time_of_day = 2 END AS is_day, n.variable, n.role, r.name, n.canonical, r.code, r.unit,
    r.is_limit, n.role = 'static' AND g.top IS NOT NULL AND (r.value >= 1e300
        OR u.factor = 1 AND u.shift = 0 AND r.value BETWEEN g.top_low AND g.top_high) AS is_top_coded,
    CASE WHEN is_top_coded THEN g.top ELSE (r.value + u.shift) * u.factor END AS value, u.factor, u.shift,
    CASE WHEN n.role IS NULL AND '{unknown}' = '{unmapped}'
              AND coalesce(r.reason, '') NOT IN ('no identifier', 'no variable')
         THEN '{unknown}'
         WHEN r.reason <> '{outside}' THEN r.reason
         WHEN n.role IS NULL THEN '{unknown}'
         WHEN n.role = 'identifier' AND r.stay IS NULL THEN NULL
         WHEN r.reason IS NOT NULL OR r.stay IS NULL THEN '{outside}'
         WHEN k.position IS NULL THEN 'stay not in the stays table'
         WHEN n.role IN ('code', 'identifier') THEN NULL
         WHEN NOT u.known THEN 'unknown unit'
         WHEN is_top_coded THEN NULL
         WHEN (r.value + u.shift) * u.factor NOT BETWEEN g.low AND g.high THEN 'implausible' END AS reason
FROM (SELECT *, CASE WHEN available_of_day = 2 THEN end_of_day(available) ELSE available END AS known FROM rows) r
LEFT JOIN names n ON n.name = r.name
LEFT JOIN ranges g ON g.variable = n.variable
LEFT JOIN units u ON u.name = r.name AND u.unit = coalesce(r.unit, '')
LEFT JOIN stay_keys k ON k.patient = r.patient AND k.stay = r.stay
"""
# Rows by reason, name and unit in one pass; the queries of the ledger read this small table.
COUNTS = f"""
CREATE TABLE counts AS
SELECT c.* EXCLUDE (place), place // {PART_STEP} AS part, place % {PART_STEP} AS row, n.role, n.canonical, n.variable,
    u.factor <> 1 OR u.shift <> 0 AS is_converted
FROM (
    SELECT reason, name, unit, count(*) AS rows, min({PLACE}) FILTER (reason IS NOT NULL) AS place,
        count(*) FILTER (too_early > 0) AS too_early,
        count(*) FILTER (too_early BETWEEN 1 AND 14 * 3600000000 AND too_early % 3600000000 = 0) AS early_by_hours,
        count(*) FILTER (is_day) AS days, count(*) FILTER (available <> time) AS later
    FROM rows_with_reason GROUP BY reason, name, unit
) c LEFT JOIN names n USING (name) LEFT JOIN units u ON u.name = c.name AND u.unit = coalesce(c.unit, '')
"""
# Accepted rows that were available before they were measured, of these by whole hours; rows without a time of day.
TIME_NOTES = """
SELECT sum(too_early)::BIGINT, sum(early_by_hours)::BIGINT, sum(days)::BIGINT FROM counts
WHERE reason IS NULL AND role IN ('series', 'code')
"""
# Rejected rows by reason and variable, with the first of them.
FINDINGS = """
SELECT reason, variable, series, sum(rows)::BIGINT,
    min_by(part, (part, row)), min_by(row, (part, row)), min_by(name, (part, row))
FROM (
    SELECT reason, coalesce(canonical, name, '') AS variable, coalesce(role, '') = 'series' AS series,
        sum(rows) AS rows, min_by(part, (part, row)) AS part, min_by(row, (part, row)) AS row,
        coalesce(min_by(name, (part, row)), '') AS name
    FROM counts WHERE reason IS NOT NULL GROUP BY 1, 2, 3
    UNION ALL
    SELECT '{missing}', canonical, role = 'series', rows, part, row, name FROM blank_cells JOIN names USING (name)
) GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2
"""
# Rows converted from another unit.
CONVERTED = """
SELECT variable, unit, sum(rows)::BIGINT FROM counts WHERE reason IS NULL AND is_converted GROUP BY ALL ORDER BY ALL
"""
# Accepted measurements that became known after their time.
N_LATER = "SELECT coalesce(sum(later), 0)::BIGINT FROM counts WHERE reason IS NULL AND role = 'series'"
# Measurements in canonical order; of one instant, by their place in the extract where that decides, else by value. The
# sort is by columns of the result: by those of the view, DuckDB would compute and carry them twice.
MEASUREMENTS = """
SELECT position AS stay, available, {time} AS time, variable::SMALLINT AS variable, value
FROM rows_with_reason WHERE reason IS NULL AND role = 'series'
ORDER BY stay, {times}, variable, {place}value
"""
# Variables, out of some, that have different values at one instant.
DIFFERING_VALUES = """
SELECT DISTINCT variable FROM (
    SELECT variable FROM rows_with_reason
    WHERE reason IS NULL AND role = 'series' AND variable IN ({variables})
    GROUP BY position, available, time, variable HAVING min(value) <> max(value)
) ORDER BY 1
"""
# Coded events in canonical order, without repetition.
CODED_EVENTS = """
SELECT DISTINCT position AS stay, available, time, v.id AS code
FROM rows_with_reason r JOIN vocabulary_frame v ON v.code = r.canonical || '//' || r.code
WHERE reason IS NULL AND role = 'code' ORDER BY ALL
"""
# The vocabulary of coded events, sorted.
VOCABULARY = """
SELECT DISTINCT canonical || '//' || code AS code FROM rows_with_reason
WHERE reason IS NULL AND role = 'code' ORDER BY code
"""
# Coded events with repetitions.
N_CODED_ROWS = "SELECT coalesce(sum(rows), 0)::BIGINT FROM counts WHERE reason IS NULL AND role = 'code'"
# Values rejected as implausible.
IMPLAUSIBLE = """
SELECT position AS stay, time, canonical AS variable, value
FROM rows_with_reason WHERE reason = 'implausible' ORDER BY position, canonical, time, value
"""
# The values of static variables, without repetition.
STATIC_VALUES = """
SELECT DISTINCT position AS stay, variable, available, time, value, coalesce(is_top_coded, false) AS is_top_coded
FROM rows_with_reason WHERE reason IS NULL AND role = 'static' ORDER BY ALL
"""
# Of each variable: used values, and values rejected for reasons other than some.
VALUES_BY_VARIABLE = """
SELECT canonical, coalesce(sum(rows) FILTER (reason IS NULL), 0)::BIGINT,
    coalesce(sum(rows) FILTER (NOT list_contains($1, reason)), 0)::BIGINT AS rejected
FROM counts WHERE canonical IS NOT NULL AND role <> 'identifier' GROUP BY 1 ORDER BY rejected DESC, 1
"""
# Quantiles of a variable's values, as written, that were rejected for some reasons.
REJECTED_QUANTILES = """
SELECT quantile_cont(value / factor - shift, [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95])
FROM rows_with_reason WHERE canonical = $1 AND list_contains($2, reason)
"""
# Accepted values that are bounds, such as "<0.2".
LIMITS_OF_DETECTION = "SELECT canonical, count(*) FROM rows_with_reason WHERE reason IS NULL AND is_limit GROUP BY 1"
# Accepted rows by role.
ACCEPTED = "SELECT coalesce(role, 'series'), sum(rows)::BIGINT FROM counts WHERE reason IS NULL GROUP BY 1"
# The stays that occur in the rows.
STAYS = """
SELECT DISTINCT patient AS patient_id, stay AS stay_id FROM rows WHERE patient IS NOT NULL AND stay IS NOT NULL
"""
