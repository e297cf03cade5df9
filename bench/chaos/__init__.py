"""Chaos test: thousands of orders while faults are injected everywhere. `python -m bench.chaos --database sqlite`.

It runs the processes of the Procfiles, a real Redis, SQLite or PostgreSQL (`environment`), and a mail server
(`mail_server`). Customers, in their own process, double-click, leave, pay twice and pay late (`traffic`, `customers`,
`behaviours`). Staff handle wrong amounts and make refunds (`staff`). The fault injector kills, hangs, empties and
restarts processes and stores, and makes the mail server fail (`faults`). At the end every fault is removed, and the
invariants, all acknowledged results and all mails are checked (`checks`, `mail_checks`).

The seed repeats the decisions of customers and injector. Their timing depends on the machine, so no two runs are equal.
"""
