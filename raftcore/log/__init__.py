"""The log in memory: blocks of entries, their terms, what is durable and what is committed."""
