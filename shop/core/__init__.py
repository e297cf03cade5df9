"""Foundation modules without shop logic: one subject per module."""
