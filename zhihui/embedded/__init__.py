"""The servers that come with the program: NATS and Postgres from wheels, without root or Docker.

``servers`` runs the two, ``platform`` runs the whole service on them. Nothing is imported here, so
that commands which only look for a running service start quickly.
"""
