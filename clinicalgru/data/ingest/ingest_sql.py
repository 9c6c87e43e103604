"""The SQL of the workspace's tables: rows, names, units, stays, and what is computed from them."""

from __future__ import annotations

from clinicalgru.data.ingest.csv_check import UNFINISHED
from clinicalgru.disclosure import MIN_CELL_SIZE

PART_STEP = 1 << 40  # more rows than a file has
PLACE = f"part::BIGINT * {PART_STEP} + row"  # of a row in the extract, as one number: 20 times faster than a pair
OTHER_HEADER = "another header within the file"  # stops the load: the columns of the rows below it have another order
# Reasons against rows of which nothing can be believed, their patient neither.
DAMAGED = ("repeated header", OTHER_HEADER, "stray quote or control character", UNFINISHED)
IS_DAMAGED = f"coalesce(reason IN {DAMAGED}, false)"
# All rows of the extract with the first reason against each, if any. Numbers stand for identifiers, names and units,
# whose text is in the two tables below: text in every row took more than half of the time of reading.
ROWS = """
CREATE TABLE rows (
    part INTEGER, row BIGINT, identifier_id INTEGER, time BIGINT, available BIGINT, is_date BOOLEAN,
    has_offset BOOLEAN, time_of_day UTINYINT, available_of_day UTINYINT, name_unit_id INTEGER, value DOUBLE,
    is_duplicate_source BOOLEAN, code VARCHAR, reason VARCHAR, is_limit BOOLEAN)
"""
# Each pair of patient and stay that occurs, as its cells and as read, and whether it looks damaged.
IDENTIFIERS = """
CREATE TABLE identifiers (
    identifier_id INTEGER, patient_id_written VARCHAR, stay_id_written VARCHAR, patient VARCHAR, stay VARCHAR,
    is_corrupt BOOLEAN)
"""
# Each pair of a variable's name and a unit that occurs, as its cells and as read.
NAME_UNITS = """
CREATE TABLE name_units (
    name_unit_id INTEGER, variable_written VARCHAR, unit_written VARCHAR, name VARCHAR, unit VARCHAR)
"""
# Cells without a value of wide tables: counted only, as nine of ten cells may be blank.
BLANK_CELLS = "CREATE TABLE blank_cells (part INTEGER, row BIGINT, name VARCHAR, rows BIGINT)"
ADD_BLANKS = """
INSERT INTO blank_cells
SELECT {first_file} + c_file, c_row, coalesce(p.variable, b.variable), rows
FROM ({blanks}) b LEFT JOIN value_pairs p ON p.name = b.variable WHERE rows > 0
"""
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
UPDATE rows SET reason = '{reason}', time = NULL
WHERE part = {part} AND row = {row}
"""
# Unknown names that are safe to report: those in rows of many patients; in rows of several, unless they may be a value
# in a wrong column or are an identifier; and words of letters. Never dates or decimal numbers.
SAFE_NAMES = f"""
WITH named AS (
    SELECT DISTINCT name, CASE WHEN NOT is_damaged THEN patient END AS patient, stay
    FROM (SELECT DISTINCT name_unit_id, identifier_id, {IS_DAMAGED} AS is_damaged FROM rows)
    JOIN name_units USING (name_unit_id) JOIN identifiers USING (identifier_id)
), shared AS (
    SELECT u.name, least(count(DISTINCT r.patient), count(DISTINCT r.stay)) AS people,
        u.name IN (FROM (SELECT patient FROM named UNION SELECT stay FROM named) t(who) WHERE who IS NOT NULL) AS is_who
    FROM unknown_frame u LEFT JOIN named r USING (name) GROUP BY u.name
)
SELECT name FROM shared
WHERE NOT regexp_full_match(name, '[+-]?\\d{{0,3}}[.,]\\d*([eE][+-]?\\d+)?|[+-]?|.*\\d[-/.:]\\d\\d.*[-/.:]\\d.*')
    AND NOT regexp_matches(name, '[\\x00-\\x1f\"]') AND length(name) <= 200
    AND (people >= {MIN_CELL_SIZE} OR NOT is_who AND (regexp_full_match(name, '[\\pL _]+')
        OR people > 1 AND NOT regexp_full_match(name, '[+-]?\\d{{1,3}}([eE][+-]?\\d+)?')))
"""
# The first row with a reason.
FIRST_WITH_REASON = "SELECT part, row FROM rows WHERE reason = '{reason}' ORDER BY part, row LIMIT 1"
# The rows by file, by the form of their times, and by name and unit, in one pass: how many of each, the place of the
# first, and the first and last of their times. The queries of times and units read this small table.
ROW_FORMS = f"""
CREATE OR REPLACE TEMP TABLE row_forms AS
SELECT part, is_date, has_offset, time_of_day, available_of_day, name_unit_id, reason IS NULL AS is_accepted,
    count(time) AS timed, count(available) AS known, count(value) AS valued, min({PLACE}) AS place,
    min({PLACE}) FILTER (time IS NOT NULL) AS timed_place, min(time) AS time_first, max(time) AS time_last,
    min(available) AS available_first, max(available) AS available_last
FROM rows GROUP BY ALL
"""
# Dates and numbers of hours: how many of each, where the first is, and the earliest; the rarer first.
TIME_FORMATS = f"""
SELECT is_date, sum(timed)::BIGINT, min(timed_place) // {PART_STEP}, min(timed_place) % {PART_STEP}, min(time_first)
FROM row_forms WHERE timed > 0 GROUP BY is_date ORDER BY 2
"""
# Whether there are times with and without UTC offset (2) or only one of them (1), and where the first is.
UTC_OFFSETS = f"""
SELECT count(DISTINCT has_offset), min(place) // {PART_STEP}, min(place) % {PART_STEP}
FROM row_forms WHERE has_offset IS NOT NULL
"""
# Whether dates have a UTC offset, where all have or none has.
HAS_OFFSET = "SELECT any_value(has_offset) FROM row_forms WHERE has_offset IS NOT NULL AND is_date"
# Of each file: how many times are not at midnight, how many are, and the first and last.
TIMES_OF_DAY = """
SELECT part, coalesce(sum({count}) FILTER ({kind}_of_day = 0), 0)::BIGINT,
    coalesce(sum({count}) FILTER ({kind}_of_day = 1), 0)::BIGINT, min({kind}_first), max({kind}_last)
FROM row_forms WHERE is_accepted AND {count} > 0 AND {kind}_of_day IS NOT NULL GROUP BY part ORDER BY part
"""
# Takes midnights for dates.
TAKE_FOR_DATES = "UPDATE rows SET {kind}_of_day = 2 WHERE {kind}_of_day = 1 AND part IN ({parts})"
# The pairs of a variable's names with the unit of their table, where they occur without one and not yet with this.
PAIRS_WITH_UNIT = """
INSERT INTO name_units
SELECT (SELECT count(*) FROM name_units) + row_number() OVER () - 1, name, $unit, name, $unit
FROM (SELECT DISTINCT name FROM name_units JOIN names USING (name) WHERE unit IS NULL AND canonical = $variable)
ANTI JOIN (FROM name_units WHERE unit = $unit) USING (name)
"""
# Gives the values of a variable, in the files from a number on, the unit of their table where none is written.
UNIT_OF_TABLE = """
UPDATE rows SET name_unit_id = pairs.with_unit
FROM (
    SELECT bare.name_unit_id AS without_unit, min(s.name_unit_id) AS with_unit
    FROM name_units bare JOIN name_units s USING (name) JOIN names n USING (name)
    WHERE bare.unit IS NULL AND s.unit = $unit AND n.canonical = $variable GROUP BY 1
) pairs
WHERE rows.part >= $first AND rows.name_unit_id = pairs.without_unit
"""
# The pairs of a patient with no stay, of the patients in some files, where there is none yet.
PAIRS_WITHOUT_STAY = """
INSERT INTO identifiers
SELECT (SELECT count(*) FROM identifiers) + row_number() OVER () - 1, patient, NULL, patient, NULL, is_corrupt
FROM (
    SELECT patient, bool_or(is_corrupt) AS is_corrupt
    FROM (SELECT DISTINCT identifier_id FROM rows WHERE part IN ({parts})) JOIN identifiers USING (identifier_id)
    WHERE patient IS NOT NULL GROUP BY patient
) ANTI JOIN (FROM identifiers WHERE stay IS NULL) USING (patient)
"""
# Takes the stay from the rows of some files, so that they find it by patient and time; how many of them are no dates.
WITHOUT_STAY = f"""
UPDATE rows SET identifier_id = pairs.without_stay
FROM (
    SELECT i.identifier_id, min(o.identifier_id) AS without_stay
    FROM identifiers i JOIN identifiers o USING (patient) WHERE o.stay IS NULL GROUP BY 1
) pairs
WHERE rows.part IN ({{parts}}) AND rows.identifier_id = pairs.identifier_id AND NOT {IS_DAMAGED}
"""
# The patients of the stays in some files without a column of patients, from the table of stays, as further pairs.
PAIRS_OF_STAYS = """
INSERT INTO identifiers
SELECT (SELECT count(*) FROM identifiers) + row_number() OVER () - 1, patient, stay, patient, stay, is_corrupt
FROM (
    SELECT k.patient_id AS patient, k.stay_id AS stay, bool_or(i.is_corrupt) AS is_corrupt
    FROM (SELECT DISTINCT identifier_id FROM rows WHERE part IN ({parts})) JOIN identifiers i USING (identifier_id)
    JOIN stays_frame k ON k.stay_id = i.stay
    WHERE i.patient IS NULL GROUP BY ALL
) ANTI JOIN identifiers USING (patient, stay)
"""
# Gives the rows of these files the patients of their stays.
PATIENT_OF_STAY = """
UPDATE rows SET identifier_id = pairs.with_patient
FROM (
    SELECT i.identifier_id, min(o.identifier_id) AS with_patient
    FROM identifiers i JOIN stays_frame k ON k.stay_id = i.stay
    JOIN identifiers o ON o.patient = k.patient_id AND o.stay = k.stay_id
    WHERE i.patient IS NULL GROUP BY 1
) pairs
WHERE rows.part IN ({parts}) AND rows.identifier_id = pairs.identifier_id
"""
N_WITHOUT_DATE = "SELECT count(*) FROM rows WHERE part IN ({parts}) AND NOT is_date"
# The units with which each variable occurs.
UNITS_SEEN = """
SELECT DISTINCT n.variable, s.name, s.unit
FROM (SELECT DISTINCT name_unit_id FROM row_forms WHERE is_accepted AND valued > 0)
JOIN name_units s USING (name_unit_id) JOIN names n USING (name)
"""
# What each pair of name and unit means: its variable, conversion and ranges.
MEANINGS = """
CREATE TABLE meanings AS
SELECT s.name_unit_id, s.name, s.unit, n.variable, n.role, n.canonical, u.factor, u.shift, u.known,
    g.* EXCLUDE (variable)
FROM name_units s LEFT JOIN names n USING (name) LEFT JOIN ranges g ON g.variable = n.variable
LEFT JOIN units u ON u.name = s.name AND u.unit = coalesce(s.unit, '')
"""
# The stays of the stays table that no row names.
FURTHER_IDENTIFIERS = """
INSERT INTO identifiers
SELECT (SELECT count(*) FROM identifiers) + row_number() OVER () - 1, patient, stay, patient, stay, false
FROM (SELECT patient, stay FROM stay_keys_frame ANTI JOIN identifiers USING (patient, stay))
"""
# The stays in canonical order, each with one number of the pairs of identifiers that mean it.
STAY_KEYS = """
CREATE TABLE stay_keys AS
SELECT k.*, i.identifier_id FROM stay_keys_frame k
JOIN (SELECT patient, stay, min(identifier_id) AS identifier_id FROM identifiers GROUP BY ALL) i USING (patient, stay)
"""
# The position of the stay of each pair of identifiers, and whether it names one.
POSITIONS = """
CREATE TABLE positions AS
SELECT i.identifier_id, k.position, i.stay IS NOT NULL AS has_stay
FROM identifiers i LEFT JOIN stay_keys k USING (patient, stay)
"""
# Gives rows without a stay the patient's stay at their time; of several, the one that started last.
ASSIGN_STAY = """
UPDATE rows SET identifier_id = assigned.identifier_id
FROM (
    SELECT r.id, k.identifier_id, k.ended, r.time
    FROM (
        SELECT r.rowid AS id, i.patient, r.time FROM rows r JOIN identifiers i USING (identifier_id)
        WHERE i.stay IS NULL AND r.reason IS NULL
    ) r ASOF JOIN (FROM stay_keys WHERE start IS NOT NULL) k ON r.patient = k.patient AND r.time >= k.start
) assigned
WHERE rows.rowid = assigned.id AND (assigned.ended IS NULL OR assigned.time <= assigned.ended)
"""
# Rejects rows of a duplicate source whose value another table has at the same time; values that were rounded
# differently (32 bits, a converted unit) are equal.
REJECT_DUPLICATES = """
UPDATE rows SET reason = '{duplicate}'
FROM (
    WITH converted AS (
        SELECT r.rowid AS id, i.patient, i.stay, m.variable, r.time, (r.value + m.shift) * m.factor AS value,
            r.is_duplicate_source
        FROM rows r JOIN meanings m USING (name_unit_id) JOIN identifiers i USING (identifier_id)
        WHERE r.reason IS NULL AND r.value IS NOT NULL AND r.time IS NOT NULL AND m.known AND m.role = 'series'
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
         ELSE r.time_of_day = 2 END AS is_day, m.variable, m.role, m.name, m.canonical, r.code, r.name_unit_id,
    r.is_limit, m.role = 'static' AND m.top IS NOT NULL AND (r.value >= 1e300
        OR m.factor = 1 AND m.shift = 0 AND r.value BETWEEN m.top_low AND m.top_high) AS is_top_coded,
    CASE WHEN is_top_coded THEN m.top ELSE (r.value + m.shift) * m.factor END AS value, m.factor, m.shift,
    m.low, m.high,
    CASE WHEN m.role IS NULL AND '{unknown}' = '{unmapped}'
              AND coalesce(r.reason, '') NOT IN ('no identifier', 'no variable')
         THEN '{unknown}'
         WHEN r.reason <> '{outside}' THEN r.reason
         WHEN m.role IS NULL THEN '{unknown}'
         WHEN m.role = 'identifier' AND NOT k.has_stay THEN NULL
         WHEN r.reason IS NOT NULL OR NOT k.has_stay THEN '{outside}'
         WHEN k.position IS NULL THEN 'stay not in the stays table'
         WHEN m.role IN ('code', 'identifier') THEN NULL
         WHEN NOT m.known THEN 'unknown unit'
         WHEN is_top_coded THEN NULL
         WHEN (r.value + m.shift) * m.factor NOT BETWEEN m.low AND m.high THEN 'implausible' END AS reason
FROM (SELECT *, CASE WHEN available_of_day = 2 THEN end_of_day(available) ELSE available END AS known FROM rows) r
LEFT JOIN meanings m USING (name_unit_id)
LEFT JOIN positions k USING (identifier_id)
"""
# Rows by reason, name and unit in one pass; the queries of the ledger read this small table.
COUNTS = f"""
CREATE TABLE counts AS
SELECT c.* EXCLUDE (place, name_unit_id), place // {PART_STEP} AS part, place % {PART_STEP} AS row,
    m.name, m.unit, m.role, m.canonical, m.variable, m.factor <> 1 OR m.shift <> 0 AS is_converted
FROM (
    SELECT reason, name_unit_id, count(*) AS rows, min({PLACE}) FILTER (reason IS NOT NULL) AS place,
        count(*) FILTER (too_early > 0) AS too_early,
        count(*) FILTER (too_early BETWEEN 1 AND 14 * 3600000000 AND too_early % 3600000000 = 0) AS early_by_hours,
        count(*) FILTER (is_day) AS days, count(*) FILTER (available <> time) AS later
    FROM rows_with_reason GROUP BY reason, name_unit_id
) c LEFT JOIN meanings m USING (name_unit_id)
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
# Accepted measurements, and stays.
N_SERIES = "SELECT coalesce(sum(rows), 0)::BIGINT FROM counts WHERE reason IS NULL AND role = 'series'"
N_STAYS = "SELECT count(*) FROM stay_keys"
# The variables of accepted measurements.
SERIES = "SELECT DISTINCT variable FROM counts WHERE reason IS NULL AND role = 'series'"
# Measurements, with their place in the extract where it decides between values of one instant.
MEASUREMENTS = """
SELECT position AS stay, available, {time}variable::SMALLINT AS variable, {place}value
FROM rows_with_reason WHERE reason IS NULL AND role = 'series'
"""
# Variables, out of some, that have different values at one instant.
DIFFERING_VALUES = """
SELECT DISTINCT variable FROM (
    SELECT variable FROM rows_with_reason
    WHERE reason IS NULL AND role = 'series' AND variable IN ({variables})
    GROUP BY position, available, time, variable HAVING min(value) <> max(value)
) ORDER BY 1
"""
# Coded events without repetition.
CODED_ROWS = """
CREATE TEMP TABLE coded_rows AS
SELECT DISTINCT position AS stay, available, time, canonical || '//' || code AS code
FROM rows_with_reason WHERE reason IS NULL AND role = 'code'
"""
# The vocabulary of coded events, sorted.
VOCABULARY = "SELECT DISTINCT code FROM coded_rows ORDER BY code"
# Coded events in canonical order.
CODED_EVENTS = """
SELECT stay, available, time, v.id AS code FROM coded_rows r JOIN vocabulary_frame v USING (code) ORDER BY ALL
"""
# Coded events with repetitions.
N_CODED_ROWS = "SELECT coalesce(sum(rows), 0)::BIGINT FROM counts WHERE reason IS NULL AND role = 'code'"
N_IMPLAUSIBLE = "SELECT coalesce(sum(rows), 0)::BIGINT FROM counts WHERE reason = 'implausible'"
# Values rejected as implausible. The range is tested here too, where DuckDB tests it before it looks for a stay.
IMPLAUSIBLE = """
SELECT position AS stay, time, canonical AS variable, value
FROM rows_with_reason WHERE value NOT BETWEEN low AND high AND reason = 'implausible'
ORDER BY position, canonical, time, value
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
STAYS = f"""
SELECT DISTINCT patient AS patient_id, stay AS stay_id
FROM (SELECT DISTINCT identifier_id FROM rows WHERE NOT {IS_DAMAGED}) JOIN identifiers USING (identifier_id)
WHERE patient IS NOT NULL AND stay IS NOT NULL
"""
