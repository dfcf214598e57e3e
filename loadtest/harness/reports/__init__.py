"""What a person and a program see of a run: terminal, web page, files and metrics."""
