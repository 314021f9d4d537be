"""Where rows come from: one kind of source a file, found by the ending of its name."""
