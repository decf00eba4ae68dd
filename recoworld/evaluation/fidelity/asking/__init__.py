"""Who is asked, what is asked, and how sure one may be of the answers."""
