"""The intake's questions to its workspace, in SQL. `judged` is every row with the first reason against it, if any."""

from __future__ import annotations

ROWS = """
CREATE TABLE rows (
    part INTEGER, row BIGINT, patient VARCHAR, stay VARCHAR, time BIGINT, available BIGINT, dated BOOLEAN,
    shifted BOOLEAN, name VARCHAR, unit VARCHAR, value DOUBLE, second BOOLEAN, code VARCHAR,
    reason VARCHAR)
"""
# Cells of wide tables without a value are counted, not listed: of ten cells, nine may be blank.
BLANKS = "CREATE TABLE blanks (part INTEGER, row BIGINT, name VARCHAR, rows BIGINT)"
TOTAL = "SELECT (SELECT count(*) FROM rows) + (SELECT coalesce(sum(rows), 0) FROM blanks)::BIGINT"
NAMES = """
CREATE TABLE names AS
SELECT n.*, CASE WHEN s.canonical IS NOT NULL THEN map(s.word, s.number) END AS spoken
FROM names_frame n LEFT JOIN spoken_frame s USING (canonical)
"""
ALIASES = """
INSERT INTO names
SELECT a.name, a.variable, a.role, a.canonical, any_value(n.spoken)
FROM aliases_frame a LEFT JOIN names n USING (canonical)
WHERE a.name NOT IN (SELECT name FROM names) GROUP BY ALL
"""
UNFINISHED = """
UPDATE rows SET reason = '{reason}', patient = NULL, time = NULL
WHERE part = {part} AND row = {row}
"""
# Names of two patients' rows, or of letters only, that are nobody's identifier; dates and numbers with a point never.
SHOWN = """
SELECT u.name FROM unknown_frame u LEFT JOIN rows r USING (name)
WHERE NOT regexp_full_match(u.name, '[+-]?\\d{0,3}([.,]\\d*)?([eE][+-]?\\d+)?|.*\\d[-/.:]\\d\\d.*[-/.:]\\d.*')
    AND NOT regexp_matches(u.name, '[\\x00-\\x1f\",;|]') AND length(u.name) <= 200
GROUP BY u.name
HAVING (count(DISTINCT r.patient) > 1 AND count(DISTINCT r.stay) > 1 OR regexp_full_match(u.name, '[\\pL _]+'))
    AND u.name NOT IN (FROM (SELECT patient FROM rows UNION SELECT stay FROM rows) t(who) WHERE who IS NOT NULL)
"""
FIRST_OF = "SELECT part, row FROM rows WHERE reason = '{reason}' ORDER BY part, row LIMIT 1"
CLOCKS = """
SELECT dated, count(*), min_by(part, (part, row)), min_by(row, (part, row)), min(time)
FROM rows WHERE time IS NOT NULL GROUP BY dated ORDER BY 2
"""
OFFSETS = """
SELECT count(DISTINCT shifted), min_by(part, (part, row)), min_by(row, (part, row)) FROM rows WHERE shifted IS NOT NULL
"""
PAIRS = """
SELECT DISTINCT n.variable, r.name, r.unit
FROM rows r JOIN names n USING (name) WHERE r.reason IS NULL AND r.value IS NOT NULL
"""
PLACE = """
UPDATE rows SET stay = found.stay
FROM (
    SELECT r.rowid AS id, k.stay, k.ended, r.time
    FROM rows r ASOF JOIN (FROM keys WHERE start IS NOT NULL) k ON r.patient = k.patient AND r.time >= k.start
    WHERE r.stay IS NULL AND r.reason IS NULL
) found
WHERE rows.rowid = found.id AND (found.ended IS NULL OR found.time <= found.ended)
"""
# Values that went through another rounding (32 bits, a converted unit) are still the same value.
REPEATS = """
UPDATE rows SET reason = '{repeated}'
FROM (
    WITH made AS (
        SELECT r.rowid AS id, r.patient, r.stay, n.variable, r.time, (r.value + u.shift) * u.factor AS value, r.second
        FROM rows r JOIN names n USING (name) JOIN units u ON u.name = r.name AND u.unit = coalesce(r.unit, '')
        WHERE r.reason IS NULL AND r.value IS NOT NULL AND r.time IS NOT NULL AND u.known AND n.role = 'series'
    )
    SELECT DISTINCT s.id
    FROM made s JOIN made f USING (patient, stay, variable, time)
    WHERE s.second AND NOT f.second AND abs(s.value - f.value) <= 1e-6 * abs(f.value)
) found
WHERE rows.rowid = found.id
"""
JUDGED = """
CREATE VIEW judged AS
SELECT r.part, r.row, k.position, r.time, r.available, n.variable, n.role, r.name, n.canonical, r.code, r.unit,
    (r.value + u.shift) * u.factor AS value, u.factor, u.shift,
    CASE WHEN n.role IS NULL AND '{unknown}' = '{unmapped}' AND coalesce(r.reason, '') NOT IN ({nameless})
         THEN '{unknown}'
         WHEN r.reason <> '{outside}' THEN r.reason
         WHEN n.role IS NULL THEN '{unknown}'
         WHEN n.role = 'identifier' AND r.stay IS NULL THEN NULL
         WHEN r.reason IS NOT NULL OR r.stay IS NULL THEN '{outside}'
         WHEN k.position IS NULL THEN 'stay not in the stays table'
         WHEN n.role IN ('code', 'identifier') THEN NULL
         WHEN NOT u.known THEN 'unknown unit'
         WHEN (r.value + u.shift) * u.factor NOT BETWEEN g.low AND g.high THEN 'implausible' END AS reason
FROM rows r
LEFT JOIN names n ON n.name = r.name
LEFT JOIN ranges g ON g.variable = n.variable
LEFT JOIN units u ON u.name = r.name AND u.unit = coalesce(r.unit, '')
LEFT JOIN keys k ON k.patient = r.patient AND k.stay = r.stay
"""
# All that the ledger asks of the rows, in one pass: judging them anew for each of its questions took most of its time.
TALLY = """
CREATE TABLE tally AS
SELECT reason, role, canonical, name, variable, unit, factor <> 1 OR shift <> 0 AS changed, count(*) AS rows,
    min_by(part, (part, row)) FILTER (WHERE reason IS NOT NULL) AS part,
    min_by(row, (part, row)) FILTER (WHERE reason IS NOT NULL) AS row
FROM judged GROUP BY ALL
"""
FINDINGS = """
SELECT reason, variable, series, sum(rows)::BIGINT,
    min_by(part, (part, row)), min_by(row, (part, row)), min_by(name, (part, row))
FROM (
    SELECT reason, coalesce(canonical, name, '') AS variable, coalesce(role, '') = 'series' AS series,
        sum(rows) AS rows, min_by(part, (part, row)) AS part, min_by(row, (part, row)) AS row,
        coalesce(min_by(name, (part, row)), '') AS name
    FROM tally WHERE reason IS NOT NULL GROUP BY 1, 2, 3
    UNION ALL
    SELECT '{missing}', canonical, role = 'series', rows, part, row, name FROM blanks JOIN names USING (name)
) GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2
"""
CONVERTED = """
SELECT variable, unit, sum(rows)::BIGINT FROM tally WHERE reason IS NULL AND changed GROUP BY ALL ORDER BY ALL
"""
FACTS = """
SELECT position AS stay, available, time, variable::SMALLINT AS variable, value
FROM judged WHERE reason IS NULL AND role = 'series' ORDER BY position, available, time, variable, value
"""
CODED = """
SELECT DISTINCT position AS stay, available, time, w.id AS code
FROM judged j JOIN words_frame w ON w.word = j.canonical || '//' || j.code
WHERE reason IS NULL AND role = 'code' ORDER BY ALL
"""
IMPLAUSIBLE = """
SELECT position AS stay, time, canonical AS variable, value
FROM judged WHERE reason = 'implausible' ORDER BY position, canonical, time, value
"""
DESCRIPTORS = """
SELECT position, variable, max_by(value, (time, value)) AS value, count(DISTINCT value) > 1 AS changed
FROM judged WHERE reason IS NULL AND role = 'static' GROUP BY ALL ORDER BY ALL
"""
CODED_ROWS = "SELECT coalesce(sum(rows), 0)::BIGINT FROM tally WHERE reason IS NULL AND role = 'code'"
WORDS = """
SELECT DISTINCT canonical || '//' || code AS word FROM judged WHERE reason IS NULL AND role = 'code' ORDER BY word
"""
USED = "SELECT coalesce(role, 'series'), sum(rows)::BIGINT FROM tally WHERE reason IS NULL GROUP BY 1"
STAYS = (
    "SELECT DISTINCT patient AS patient_id, stay AS stay_id FROM rows WHERE patient IS NOT NULL AND stay IS NOT NULL"
)
