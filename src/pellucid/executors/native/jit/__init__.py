"""From IR to machine code in memory, and the cache of it on disk. Imports llvm."""
