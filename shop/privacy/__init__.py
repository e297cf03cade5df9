"""Personal data of the owner of an account: export them, and delete the account. Retention of all other personal data
is in `shop.jobs.retention_rules`.
"""
