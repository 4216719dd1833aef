"""How sure a score is: intervals, comparisons, judges; functions of plain numbers."""
