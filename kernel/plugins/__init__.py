"""The plugin host: it loads, promotes, drains and unloads packs while traffic flows."""
