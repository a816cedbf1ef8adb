"""A cost recorded onto a tape, through autograd's own tracer."""
