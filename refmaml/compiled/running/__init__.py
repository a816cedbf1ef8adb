"""A loaded step called: workspaces, threads, execution."""
