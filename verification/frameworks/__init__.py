"""Array frameworks: the namespace that costs are evaluated in, and how arrays get in and out of it."""
