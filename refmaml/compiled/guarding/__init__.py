"""What a cost can see beside its arguments: a trace holds only while that is the same."""
