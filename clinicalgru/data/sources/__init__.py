"""One file per format; each ends in the same checked events and ledger."""
