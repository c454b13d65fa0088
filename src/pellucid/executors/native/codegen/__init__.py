"""Writing one nest: loops, loads, lowerings of operations, tiles, masks, sums. Imports llvm, plan and jit."""
