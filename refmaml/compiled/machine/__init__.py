"""From emitted source to machine code, and its cache."""
