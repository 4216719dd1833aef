"""(to be written)"""

VLMKIT_API = 1
