"""Traffic recorded once and sent again: with the same spacing, faster or slower."""

from loadtest.harness.replay.recording import (
    Arrival,
    Header,
    RecordingProblem,
    RecordingWriter,
    read_header,
    read_recording,
)

__all__ = (
    "Arrival",
    "Header",
    "RecordingProblem",
    "RecordingWriter",
    "read_header",
    "read_recording",
)
