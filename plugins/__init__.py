"""Scenario packs, one folder each. They see the public plugin API and ``schemas``, never actors."""
