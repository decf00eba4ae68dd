"""The report for readers: JSON, Markdown, terminal, pictures, and what speaks against a simulator."""
