"""One call of a compiled step, and the plan that fits it."""
