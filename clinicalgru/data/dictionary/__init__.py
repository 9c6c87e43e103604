"""What a variable is: units, ranges, names in each source."""
