"""The channels of the outside world, simulated: a process of its own with books of its own."""
