"""Measuring what was made: quality, cost, latency, energy; rows, tables and the report."""
