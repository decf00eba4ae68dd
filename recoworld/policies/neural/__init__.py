"""Networks that score every item for a session, in torch and without Ray: what the slate-aware algorithms train."""
