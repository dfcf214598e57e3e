"""The farm-produce wholesale market (专业市场): weighed deals, deposits, splitting, credit."""
