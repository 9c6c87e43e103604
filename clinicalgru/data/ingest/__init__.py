"""The engine that reads tables, checks every row and keeps the ledger."""
