"""Whatever the user gave, as named arrays of one dtype with the norms of their rows."""
