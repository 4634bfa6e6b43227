"""`make bench`: the speed and memory budgets, each a ratio of two things measured in one run on one machine."""
