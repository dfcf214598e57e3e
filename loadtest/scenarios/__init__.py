"""Scenario files that come with the program: ``zhihui load run payments``."""
