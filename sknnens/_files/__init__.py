"""Files written whole, and fitted learners in files."""
