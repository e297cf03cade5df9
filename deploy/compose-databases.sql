-- The acquirer is another company: it has its own database.
CREATE DATABASE acquirer;
