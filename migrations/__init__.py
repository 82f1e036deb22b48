"""The database schema by Alembic. ``HEAD`` is the newest revision (a test holds it to the scripts): start-up compares it
without importing Alembic."""

HEAD = "0004"
