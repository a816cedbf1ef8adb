"""One reply beside the truth."""
