"""What an order is and what may happen to it: pure values and folds.

No await, no IO, no clock, no randomness in this package; time and ids arrive as arguments.
"""
