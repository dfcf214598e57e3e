"""The service that a competent engineer would write instead: the yardstick of the benchmark."""
