"""The naive twin: the contract once more, in plain Python, by which the engine is judged.

Pure, slow and obvious. It shares no line with `worker.core`; tests hold the engine to it record by record, and `shoal
verify` recomputes users with it.
"""
