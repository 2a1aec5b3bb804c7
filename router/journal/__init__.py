"""The journal: what is true about every submission, durable before it is visible (spec §8).

``base`` holds the rules all journals share, ``sqlite`` and ``memory`` the two that exist, ``lock`` the single
holder, ``seen`` the memory of used ids, ``checkpoints`` which stored state a start may believe, ``audit`` the
read-only look from outside. This package must not know what an event or a state means for an order, beyond its
sequence number and client_order_id.
"""
