"""The engine of ``zhihui load``: scenarios, executors, the recorder and the verdict."""
