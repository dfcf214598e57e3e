"""The sample days of scenario packs: what one is, how it is played, and what must come of it."""
