"""Chaos: thousands of orders while everything around them breaks. `python -m bench.chaos --database sqlite`.

The processes of the Procfiles, a real Redis, SQLite or PostgreSQL (`town`); buyers in a process of their own who
double-click, leave, pay twice and pay late (`crowd`, `customers`, `habits`); staff who decide about wrong money and
give some back (`staff`); somebody who kills, hangs, empties and restarts things (`mischief`); at the end everything
heals, and what was promised is looked up (`verdict`).

The seed repeats what buyers and mischief decide. When it meets what is a matter of the machine, so no run is the same
as another one.
"""
