"""Venues on 127.0.0.1 that keep the public rules of real ones, for development and for users without keys.

A real ccxt client, unmodified, trades on them. Nothing in the router knows them: they are outside, as a venue is.
"""

from tools.loopback.faults import Faults, Rule, StreamFaults
from tools.loopback.server import LoopbackVenue

__all__ = ["Faults", "LoopbackVenue", "Rule", "StreamFaults"]
