"""How sure a score is: intervals and comparisons; functions of plain numbers."""
