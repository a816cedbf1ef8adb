"""Campaigns: trials by the thousand, in many processes, that can be broken off at any moment and gone on with."""
