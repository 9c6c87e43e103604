"""In place of a parser of IRIs that jsonschema loads: two seconds in each process, and no test reads IRIs."""

raise ImportError("left out of the tests")
