"""Alembic migrations; imports nothing of ours."""
