"""The replicated key-value store over HTTP; docs/http-api.md is its contract."""
