"""Is this order sane right now? Order-level controls, one file each (``controls.md`` ids in their docstrings).

This package must not know positions or limits of the portfolio.
"""
