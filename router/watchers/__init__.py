"""Who makes sure that no open order is forgotten: one heap of deadlines, batched look-ups, ends of time in force.

This package must not know the chain, the journal or how a venue is spoken to: it is handed what it calls.
"""
