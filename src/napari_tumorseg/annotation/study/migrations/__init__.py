"""Migrations of the tables, run by Alembic from `database.upgrade`."""
