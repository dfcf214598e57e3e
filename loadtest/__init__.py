"""The load harness: it loads the service from outside and judges it by its ledger."""
