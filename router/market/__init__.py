"""What the market says: instruments, quotes, depth, and the feeds that bring them.

This package must not know orders of ours beyond the liquidity that a simulation has taken, nor any executor.
"""
