"""What a subject is asked."""
