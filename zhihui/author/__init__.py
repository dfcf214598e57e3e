"""The author's kit for scenario packs: scaffold, simulated platform, tests, checks, archives."""
