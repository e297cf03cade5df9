"""Who people are: accounts, signing in, and the sign-ins that are open."""
