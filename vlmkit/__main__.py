"""`python -m vlmkit`: the command line, e.g. for `torchrun -m vlmkit train SPEC`."""

from __future__ import annotations

from vlmkit.cli import main

if __name__ == "__main__":
    main()
