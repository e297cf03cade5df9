"""Statistics: figures of orders, payments, refunds, disputes and alerts by day, as stored roll-ups and today live."""
