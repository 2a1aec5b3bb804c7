"""Who works an order: a simulated venue (paper, shadow) or a real sandbox (testnet).

An executor answers with reports through an ``emit`` callable; this package must not know tracker or journal.
"""
