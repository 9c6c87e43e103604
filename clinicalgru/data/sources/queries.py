"""The intake's questions to its workspace, in SQL. `judged` is every row with the first reason against it, if any."""

from __future__ import annotations

ROWS = """
CREATE TABLE rows (
    part INTEGER, row BIGINT, patient VARCHAR, stay VARCHAR, time BIGINT, available BIGINT, dated BOOLEAN,
    shifted BOOLEAN, name VARCHAR, unit VARCHAR, value DOUBLE, code VARCHAR, reason VARCHAR)
"""
CLOCKS = """
SELECT dated, count(*), min_by(part, (part, row)), min_by(row, (part, row))
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
    WHERE r.stay IS NULL
) found
WHERE rows.rowid = found.id AND (found.ended IS NULL OR found.time <= found.ended)
"""
JUDGED = """
CREATE VIEW judged AS
SELECT r.part, r.row, k.position, r.time, r.available, n.variable, n.role, r.name, n.canonical, r.code, r.unit,
    (r.value + u.shift) * u.factor AS value, u.factor, u.shift,
    CASE WHEN r.reason IS NOT NULL THEN r.reason
         WHEN n.role IS NULL THEN '{unknown}'
         WHEN r.stay IS NULL THEN '{outside}'
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
FINDINGS = """
SELECT reason, coalesce(canonical, name, ''), coalesce(role, '') = 'series', count(*),
    min_by(part, (part, row)), min_by(row, (part, row))
FROM judged WHERE reason IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2
"""
CONVERTED = """
SELECT variable, unit, count(*)
FROM judged WHERE reason IS NULL AND (factor <> 1 OR shift <> 0) GROUP BY ALL ORDER BY ALL
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
DESCRIPTORS = """
SELECT position, variable, max_by(value, (time, value)) AS value
FROM judged WHERE reason IS NULL AND role = 'static' GROUP BY ALL ORDER BY ALL
"""
CODED_ROWS = "SELECT count(*) FROM judged WHERE reason IS NULL AND role = 'code'"
WORDS = """
SELECT DISTINCT canonical || '//' || code AS word FROM judged WHERE reason IS NULL AND role = 'code' ORDER BY word
"""
USED = "SELECT coalesce(role, 'series'), count(*) FROM judged WHERE reason IS NULL GROUP BY 1"
STAYS = (
    "SELECT DISTINCT patient AS patient_id, stay AS stay_id FROM rows WHERE patient IS NOT NULL AND stay IS NOT NULL"
)
