"""The only room that talks to acquirers: opening payments, hearing about them, settling them."""
