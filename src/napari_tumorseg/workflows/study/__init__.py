"""Studies from start to end: one function for each subcommand of ``tumorseg study``, and what the window needs for a task."""
