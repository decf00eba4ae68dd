"""The distilled user: small networks fitted on what a language-model user decided."""
