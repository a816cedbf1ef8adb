"""A run of the judge: what it asks a subject, and what it makes of the answers."""
