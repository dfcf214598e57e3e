"""The adapters: one file for each channel, and what they share."""
