"""Every open order owns exactly one armed deadline, and something happens at each (spec §7).

Whatever the executor's stream drops, a change is found by a look-up inside the order's window: 30 s while SUBMITTED,
5 min while PARTIALLY_FILLED. No evidence by then is an overdue event with an alert, and the look-up is repeated
with back-off. The end of a time in force becomes a cancel request; a cancel that was answered but not executed is
sent again. All of it on the monotonic clock; a restart goes on from what the journal holds.
This module must not know the journal, the tracker or how an executor works.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

import anyio
import anyio.lowlevel

from router.clock import Clock
from router.domain.enums import ExecutionStatus
from router.domain.evidence import Proof
from router.domain.order import Order
from router.logs import RouterLogger
from router.watchers.deadlines import Deadline, Deadlines
from router.watchers.lanes import Lane, Source
from router.watchers.windows import Windows, expiry, lead

_PER_TURN: Final = 500  # deadlines handled before others get the event loop
_AHEAD_S: Final = 10.0  # a look-up with room takes along what falls due within this time
_PROOFS_OF_ABSENCE: Final = 2
_EVIDENCE: Final = frozenset({Proof.SHOWN, Proof.STANDS})
_LOOK_SOON: Final = frozenset({Proof.ABSENT, Proof.INCOMPLETE})
_GRAIN_S: Final = 0.05  # the watchdog gets up no more often: a crowd falls due together, not one by one
_DOUBLINGS: Final = 16  # more overflow some day
_SOONEST_S: Final = 1.0  # between two look-ups of one order


class Keeper(Protocol):
    """What the watchdog has done to orders."""

    def current(self, client_order_id: str) -> Order | None:
        """Return the order as decided."""
        ...

    def open_count(self) -> int:
        """Return how many orders are open."""
        ...

    def open_orders(self) -> Iterable[Order]:
        """Return every open order."""
        ...

    def expire(self, order: Order) -> None:
        """Ask the executor to end the order: its time in force has passed."""
        ...

    def cancel_again(self, order: Order) -> None:
        """Send the cancel that is pending once more."""
        ...

    def not_replaced(self, order: Order) -> None:
        """Record that the terms asked for are proved not to come into force."""
        ...

    def overdue(self, order: Order, reason: str) -> None:
        """Record that the order's window passed without evidence."""
        ...

    def absent(self, order: Order) -> None:
        """Record that the venue is proved not to have the order."""
        ...


class _Doubt:
    """What is remembered of an order while its executor shows nothing of it; times are monotonic seconds."""

    __slots__ = ("absences", "absent_at", "failures", "misses", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.misses = 0
        self.failures = 0
        self.absences = 0
        self.absent_at = since


class Watchdog:
    """Watches the open orders of all environments.

    Args:
        windows: how long an executor may be silent.
    """

    def __init__(self, windows: Windows, clock: Clock, log: RouterLogger) -> None:
        self.deadlines = Deadlines()
        self._windows = windows
        self._clock = clock
        self._log = log
        self._lanes: dict[str, Lane] = {}
        self._keeper: Keeper
        self._shown: dict[str, float] = {}  # when its executor last showed an order
        self._pictured: dict[str, float] = {}  # when a look-up last showed it
        self._doubts: dict[str, _Doubt] = {}
        self._sent: dict[str, float] = {}  # when our last request about an order had left
        self._wake = anyio.Event()
        self._rings_at = float("inf")

    def attach(self, sources: Mapping[str, Source], keeper: Keeper) -> None:
        """Say who can be asked, by environment, and how orders are worked on; before anything else."""
        self._keeper = keeper
        self._lanes = {
            name: Lane(source, self._clock, self._log, self._open, self._looked, self._unanswered)
            for name, source in sources.items()
        }

    def note(self, order: Order, proof: Proof) -> None:
        """Take in that something was said or done about ``order``.

        Evidence that it stands moves its deadline only when that surfaces: cheap, for every fill brings some.
        """
        key = order.client_order_id
        if not order.is_open:
            self.deadlines.disarm(key)
            for memory in (self._shown, self._pictured, self._doubts, self._sent):
                memory.pop(key, None)
            return
        now = self._clock.monotonic()
        if proof in _EVIDENCE:
            self._shown[key] = now
            self._doubts.pop(key, None)
            if proof is Proof.SHOWN:
                self._pictured[key] = now
        elif proof is Proof.UNKNOWN:  # what was not found before the hand-over ended proves nothing
            self._doubts[key] = _Doubt(now)
        elif proof is Proof.SENT:
            self._sent[key] = now
        elif proof is Proof.ABSENT:
            self._doubts.setdefault(key, _Doubt(now)).absent_at = now
        armed, until = self.deadlines.get(key), now + self._windows.of(order)
        if proof in _LOOK_SOON and armed is not None:
            self._shown.pop(key, None)
            self._set(key, min(armed.due, now + self._patience(order, proof)), armed.until)
        elif armed is None or until < armed.until:
            self._arm(order, now, until)

    @property
    def busy(self) -> bool:
        """Whether look-ups wait or are under way."""
        return any(lane.busy for lane in self._lanes.values())

    def resume(self, orders: Iterable[Order]) -> None:
        """Arm the open orders of an earlier run: each is looked up at once, its window goes on from the journal."""
        now, wall = self._clock.monotonic(), self._clock.now()
        for order in orders:
            if order.outcome_unknown:
                self._doubts[order.client_order_id] = _Doubt(now)
            if order.pending_cancel is not None or order.pending_replaces:
                self._sent[order.client_order_id] = now
            until = now + max(self._windows.left(order, wall), self._early(order))
            self._set(order.client_order_id, now, until)

    def look_now(self, client_order_id: str) -> None:
        """Have an open order looked up at once; the end of its window stays."""
        armed = self.deadlines.get(client_order_id)
        if armed is not None:
            self._set(client_order_id, self._clock.monotonic(), armed.until)

    async def run(self) -> None:
        """Watch, for ever."""
        async with anyio.create_task_group() as group:
            for lane in self._lanes.values():
                group.start_soon(lane.run)
            while True:
                self._check()
                if self.tick():
                    await anyio.lowlevel.checkpoint()
                    continue
                earliest = self.deadlines.next()
                at = max(earliest.due, self._clock.monotonic() + _GRAIN_S) if earliest is not None else self._rings_at
                if at < self._rings_at:
                    self._rings_at = at
                    group.start_soon(self._ring, at)
                await self._wake.wait()
                self._wake = anyio.Event()

    async def _ring(self, at: float) -> None:
        """Wake the watchdog at ``at``; a ring that an earlier one has overtaken only looks once more."""
        await self._clock.sleep(max(0.0, at - self._clock.monotonic()))
        if self._rings_at == at:
            self._rings_at = float("inf")
        self._wake.set()

    def tick(self) -> bool:
        """Handle what is due; returns whether there is more."""
        now = self._clock.monotonic()
        for _ in range(_PER_TURN):
            deadline = self.deadlines.take(now)
            if deadline is None:
                self._take_along(now)
                return False
            self._handle(deadline, now)
        return True

    # -- inside --------------------------------------------------------------------------------------------

    def _open(self, key: str) -> Order | None:
        order = self._keeper.current(key)
        return order if order is not None and order.is_open else None

    def _arm(self, order: Order, now: float, until: float) -> None:
        self._set(order.client_order_id, self._due(order, now, until), until)

    def _due(self, order: Order, now: float, until: float) -> float:
        """Return when to look at the order: a little before ``until``, or when its time in force ends."""
        window = until - now
        due = now + max(window - self._early(order), min(_SOONEST_S, window / 2))
        return min(due, now + self._ends_in(order, passed=0.0))

    def _early(self, order: Order) -> float:
        """Return how long before the end of its window the order should be looked up: earlier the more are open, so
        that a crowd which was placed at one moment still fits the budget."""
        lane = self._lanes.get(order.environment)
        crowd = lane.clears_in(len(self.deadlines)) if lane is not None else 0.0
        return lead(self._windows.of(order)) + crowd

    def _set(self, key: str, due: float, until: float) -> None:
        self.deadlines.arm(key, due, until)
        if due < self._rings_at:
            self._wake.set()

    def _patience(self, order: Order, proof: Proof) -> float:
        """Return how soon to look again at an order that was not found (one more answer may prove it), or has trades
        missing."""
        if proof is Proof.ABSENT:
            return max(_SOONEST_S, self._settle(order))
        doubt = self._doubts.get(order.client_order_id)
        return _backed_off(doubt.misses if doubt is not None else 0)

    def _settle(self, order: Order) -> float:
        lane = self._lanes.get(order.environment)
        return lane.source.settle_s if lane is not None else 0.0

    def _take_along(self, now: float) -> None:
        """Fill look-ups that have room with what falls due next."""
        for lane in self._lanes.values():
            for _ in range(lane.room):
                deadline = self.deadlines.next()
                if deadline is None or deadline.due > now + _AHEAD_S or self._is_asked_about(deadline):
                    return
                self.deadlines.take(deadline.due)
                self._handle(deadline, now)

    def _is_asked_about(self, deadline: Deadline) -> bool:
        """Whether a look-up is under way, so that only its answer or the end of the window counts."""
        if any(lane.wants(deadline.key) for lane in self._lanes.values()):
            return True
        order = self._open(deadline.key)
        return deadline.due == deadline.until and order is not None and self._until(order, deadline) == deadline.until

    def _until(self, order: Order, deadline: Deadline) -> float:
        """Return the end of the order's window as its last evidence has moved it."""
        shown = self._shown.get(deadline.key)
        return deadline.until if shown is None else max(deadline.until, shown + self._windows.of(order))

    def _handle(self, deadline: Deadline, now: float) -> None:
        order = self._open(deadline.key)
        if order is None:
            self.deadlines.disarm(deadline.key)
            return
        until = self._until(order, deadline)
        if until > deadline.until and self._due(order, now, until) > now:
            self._arm(order, now, until)
            return
        if now >= until:
            until = now + self._missed(order)
        self.deadlines.arm(deadline.key, min(until, now + self._ends_in(order)), until)
        if self._has_expired(order):
            self._keeper.expire(order)
        lane = self._lanes.get(order.environment)
        if lane is not None:
            lane.want(deadline.key, until)

    def _ends_in(self, order: Order, passed: float = float("inf")) -> float:
        """Return how soon the end of its time in force wants a look at the order; ``passed`` once it is over."""
        if order.expire_at is None or order.pending_cancel is not None:
            return float("inf")
        return expiry(order.expire_at, self._clock.now()) or passed

    def _has_expired(self, order: Order) -> bool:
        """Whether the order's time in force has passed and nobody has asked for its end yet."""
        on_its_way = order.status is ExecutionStatus.PENDING or order.outcome_unknown  # there is nothing to cancel yet
        return not on_its_way and self._ends_in(order, passed=0.0) == 0.0

    def _missed(self, order: Order) -> float:
        """Say that an order's window has passed without evidence; returns how long the next one is."""
        doubt = self._doubts.setdefault(order.client_order_id, _Doubt(self._clock.monotonic()))
        doubt.misses += 1
        again = self._windows.again(doubt.misses)
        self._keeper.overdue(
            order,
            f"The {order.environment} executor has shown nothing of this {order.status} order inside its window "
            f"({doubt.misses} in a row). It is looked up again within {again:g} s; compare it with the venue's list.",
        )
        return again

    def _looked(self, orders: Sequence[Order], started: float) -> None:
        """After a look-up: go on with what is pending, and conclude what is proved to be absent."""
        for asked in orders:
            order = self._open(asked.client_order_id)
            if order is None or order.status is ExecutionStatus.PENDING:  # its hand-over has not ended
                continue
            doubt = self._doubts.get(order.client_order_id)
            if doubt is None:
                self._pursue(order, asked, started)
                continue
            doubt.failures = 0
            if doubt.absent_at >= started >= doubt.since + self._settle(order):  # this look-up was answered
                doubt.absences += 1
                if doubt.absences >= _PROOFS_OF_ABSENCE:
                    self._keeper.absent(order)

    def _unanswered(self, orders: Sequence[Order]) -> None:
        """After a look-up without an answer: ask again soon about what nothing is known of, whatever its window."""
        now = self._clock.monotonic()
        for asked in orders:
            key, order = asked.client_order_id, self._open(asked.client_order_id)
            armed, doubt = self.deadlines.get(key), self._doubts.get(key)
            if order is None or not order.outcome_unknown or armed is None or doubt is None:
                continue
            self._set(key, min(armed.due, now + _backed_off(doubt.failures)), armed.until)
            doubt.failures += 1

    def _pursue(self, order: Order, asked: Order, started: float) -> None:
        """Go on with requests that a look-up, begun late enough to see their effect, shows not to have been granted."""
        key = order.client_order_id
        sent, pictured = self._sent.get(key), self._pictured.get(key, -1.0)
        if sent is None or not pictured >= started >= sent + max(_SOONEST_S, self._settle(order)):
            return
        if order.pending_cancel is not None:
            del self._sent[key]  # until it has left again
            self._keeper.cancel_again(order)
        if order.pending_replaces and order.pending_replaces == asked.pending_replaces:
            self._keeper.not_replaced(order)

    def _check(self) -> None:
        """Hold the invariant: exactly one armed deadline an open order."""
        if len(self.deadlines) == self._keeper.open_count():
            return
        open_orders = {order.client_order_id: order for order in self._keeper.open_orders()}
        for key in self.deadlines.keys() - open_orders.keys():
            self.deadlines.disarm(key)
        forgotten = [order for key, order in open_orders.items() if self.deadlines.get(key) is None]
        self._log.critical("deadlines_repaired", forgotten=len(forgotten))
        self.resume(forgotten)


def _backed_off(times: int) -> float:
    """Return how long to wait after as many failures, seconds."""
    return _SOONEST_S * 2.0 ** min(times, _DOUBLINGS)
