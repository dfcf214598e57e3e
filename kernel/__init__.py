"""The microkernel: actors, bus, journal. It knows nothing of what they are used for."""
