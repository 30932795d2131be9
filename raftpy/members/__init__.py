"""The members: their replicated table, and what changes it."""
