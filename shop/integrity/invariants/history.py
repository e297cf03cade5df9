"""6. Every change has its event, in an order that the state table allows, numbered without gaps."""

from __future__ import annotations

from shop.integrity.invariants.scope import Rows, Scope
from shop.orders import states

_LEGAL = ", ".join(sorted(f"('{source}', '{move.target}')" for move in states.TRANSITIONS for source in move.sources))
_NUMBER = " ".join(f"WHEN '{state}' THEN {number}" for number, state in enumerate(states.STATES))


def history_is_whole(scope: Scope) -> Rows:
    return _gaps(scope) + _broken_chains(scope)


def _gaps(scope: Scope) -> Rows:
    """Orders whose events are not numbered 1..n, or whose last transition did not lead to their current state.

    The target of the last transition is found in the same pass: the greatest of (number of the event, number of the
    state).
    """
    return scope.rows(
        f"""
        SELECT o.number, o.event_seq, o.state, e.events, e.last,
               'events are missing, or the last transition did not lead to the current state' AS why
        FROM orders o
        LEFT JOIN (SELECT order_id, COUNT(*) AS events, MAX(seq) AS last,
                          MAX(CASE WHEN target IS NOT NULL THEN seq * 16 + CASE target {_NUMBER} END END) AS moved
                   FROM order_events WHERE {scope.only("order_id")} GROUP BY order_id) e ON e.order_id = o.id
        WHERE {scope.only("o.id")}
          AND (COALESCE(e.events, 0) <> o.event_seq OR COALESCE(e.last, 0) <> o.event_seq
               OR e.moved % 16 <> CASE o.state {_NUMBER} END)
        """  # noqa: S608
    )


def _broken_chains(scope: Scope) -> Rows:
    """Transitions that do not start where the previous one ended, or that the state table does not contain."""
    return scope.rows(
        f"""
        SELECT m.order_id, m.seq, m.source, m.target, m.before,
               'does not start where the last transition ended, or is not in the state table' AS why
        FROM (SELECT order_id, seq, source, target,
                     LAG(target) OVER (PARTITION BY order_id ORDER BY seq) AS before
              FROM order_events WHERE target IS NOT NULL AND {scope.only("order_id")}) m
        WHERE COALESCE(m.source, '') <> m.before
           OR (m.source IS NOT NULL AND (m.source, m.target) NOT IN (VALUES {_LEGAL}))
        """  # noqa: S608
    )
