"""Rules that others make: limits, days and ceilings, each with its source."""
